/** Waits until `probe` answers something truthy and returns it. The deadline is for a machine that has other work too: it costs time only where something fails. @throws after the deadline, naming what was waited for. */
export async function until<T>(what: string, probe: () => Promise<T | undefined | false | null>, { within = 40_000, every = 20 } = {}): Promise<T> {
	const deadline = performance.now() + within;
	let last: unknown;
	for (;;) {
		const answer = await probe().catch((error) => {
			last = error;
			return undefined;
		});
		if (answer) return answer;
		if (performance.now() > deadline) throw new Error(`Waited ${within} ms in vain: ${what}${last instanceof Error ? ` (${last.message})` : ''}`);
		await new Promise((done) => setTimeout(done, every));
	}
}
