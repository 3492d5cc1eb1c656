import { limits } from '#schemas/limits.ts';

/** A set of 64-bit hashes: open addressing in a typed array of pairs, at most half full. 0/0 is the empty slot, so it is no member. */
export class HashSet64 {
	/** High and low of a slot side by side: a look at one is a look at both. */
	#pairs = new Uint32Array(2 * limits.id_slots_min);
	size = 0;

	/** Where the pair is, or the empty slot where it would be. */
	#place(high: number, low: number): number {
		const pairs = this.#pairs;
		const mask = pairs.length - 1;
		let at = (low << 1) & mask;
		for (;;) {
			const held = pairs[at + 1];
			if ((held === low && pairs[at] === high) || (held === 0 && pairs[at] === 0)) return at;
			at = (at + 2) & mask;
		}
	}
	has(high: number, low: number): boolean {
		const at = this.#place(high, low);
		return this.#pairs[at] !== 0 || this.#pairs[at + 1] !== 0;
	}
	/** False when it was there. */
	add(high: number, low: number): boolean {
		if (this.size * 4 >= this.#pairs.length) this.#grow();
		const at = this.#place(high, low);
		const pairs = this.#pairs;
		if (pairs[at] !== 0 || pairs[at + 1] !== 0) return false;
		pairs[at] = high;
		pairs[at + 1] = low;
		this.size += 1;
		return true;
	}
	#grow(): void {
		const old = this.#pairs;
		this.#pairs = new Uint32Array(old.length * 2);
		for (let i = 0; i < old.length; i += 2) {
			if (old[i] === 0 && old[i + 1] === 0) continue;
			const at = this.#place(old[i]!, old[i + 1]!);
			this.#pairs[at] = old[i]!;
			this.#pairs[at + 1] = old[i + 1]!;
		}
	}
}
