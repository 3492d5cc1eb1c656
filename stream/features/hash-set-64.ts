import { limits } from '#schemas/limits.ts';

/** A set of 64-bit hashes: open addressing in two typed arrays, at most half full. 0/0 is the empty slot, so it is no member. */
export class HashSet64 {
	#high = new Uint32Array(limits.id_slots_min);
	#low = new Uint32Array(limits.id_slots_min);
	size = 0;

	#slot(high: number, low: number): number {
		const highs = this.#high;
		const lows = this.#low;
		const mask = lows.length - 1;
		let at = low & mask;
		while ((highs[at] !== 0 || lows[at] !== 0) && !(highs[at] === high && lows[at] === low)) at = (at + 1) & mask;
		return at;
	}
	has(high: number, low: number): boolean {
		const at = this.#slot(high, low);
		return this.#high[at] !== 0 || this.#low[at] !== 0;
	}
	add(high: number, low: number): void {
		if (this.size * 2 >= this.#low.length) this.#grow();
		const at = this.#slot(high, low);
		if (this.#high[at] === 0 && this.#low[at] === 0) this.size += 1;
		this.#high[at] = high;
		this.#low[at] = low;
	}
	#grow(): void {
		const [high, low] = [this.#high, this.#low];
		this.#high = new Uint32Array(high.length * 2);
		this.#low = new Uint32Array(low.length * 2);
		for (let i = 0; i < low.length; i++) {
			if (high[i] === 0 && low[i] === 0) continue;
			const at = this.#slot(high[i]!, low[i]!);
			this.#high[at] = high[i]!;
			this.#low[at] = low[i]!;
		}
	}
}
