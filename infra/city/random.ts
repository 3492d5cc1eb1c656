/** A seeded source of numbers in [0, 1) (mulberry32): the same seed plays the same city. */
export function random(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = state;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** A Poisson draw by Knuth's product for small means, by the normal approximation beyond 30. */
export function poisson(mean: number, next: () => number): number {
	if (mean > 30) {
		const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
		return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal));
	}
	const limit = Math.exp(-mean);
	let count = -1;
	for (let product = 1; product > limit; product *= next()) count += 1;
	return count;
}
