/** Open addressing over 64-bit hashes in two typed arrays; 0/0 is the empty slot. */
class HashSet64 {
	#high = new Uint32Array(1024);
	#low = new Uint32Array(1024);
	size = 0;

	#slot(high: number, low: number): number {
		const mask = this.#low.length - 1;
		let at = low & mask;
		while ((this.#high[at] !== 0 || this.#low[at] !== 0) && !(this.#high[at] === high && this.#low[at] === low)) at = (at + 1) & mask;
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

const BUCKET_MS = 300_000;

/** Murmur3's 32-bit mixing over the characters, from a secret seed: ids that collide cannot be chosen from outside. */
function hash(text: string, seed: number): number {
	let h = seed;
	for (let i = 0; i < text.length; i++) {
		let k = Math.imul(text.charCodeAt(i), 0xcc9e2d51);
		k = (k << 15) | (k >>> 17);
		h ^= Math.imul(k, 0x1b873593);
		h = (h << 13) | (h >>> 19);
		h = (Math.imul(h, 5) + 0xe6546b64) | 0;
	}
	h ^= text.length;
	h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
	h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
	return (h ^ (h >>> 16)) >>> 0;
}

/**
 * The event ids that a partition has folded, as 64-bit hashes in buckets of five minutes of event time. An id is remembered until the partition's
 * ingested_at passes its timestamp + the lateness + 30 s; after that a resend is late by its own stamp. 8 bytes an id.
 */
export class IdIndex {
	readonly #seeds: readonly [number, number];
	readonly #buckets = new Map<number, HashSet64>();
	#fresh = new Map<number, number[]>();
	/** Given out by changes(), not known to be saved. */
	#unsaved: { bucket: number; hashes: Uint8Array }[] = [];

	constructor(seeds: readonly [number, number]) {
		this.#seeds = seeds;
	}

	/** Remembers the id of an event of this instant; false when it was known, whatever its timestamp then. */
	add(eventId: string, timestamp: number): boolean {
		const high = hash(eventId, this.#seeds[0]);
		const low = hash(eventId, this.#seeds[1]) || 1; // never the empty slot
		for (const bucket of this.#buckets.values()) if (bucket.has(high, low)) return false;
		const number = Math.floor(timestamp / BUCKET_MS);
		this.#set(number).add(high, low);
		const fresh = this.#fresh.get(number);
		if (fresh) fresh.push(high, low);
		else this.#fresh.set(number, [high, low]);
		return true;
	}

	/** Forgets the buckets that end before `timestamp`. Returns the number of the first bucket kept. */
	forget(timestamp: number): number {
		const first = Math.floor(timestamp / BUCKET_MS);
		for (const number of this.#buckets.keys()) if (number < first) this.#buckets.delete(number);
		for (const number of this.#fresh.keys()) if (number < first) this.#fresh.delete(number);
		this.#unsaved = this.#unsaved.filter(({ bucket }) => bucket >= first);
		return first;
	}

	/** What was added since the last checkpoint that was saved. */
	changes(): { bucket: number; hashes: Uint8Array }[] {
		for (const [bucket, pairs] of this.#fresh) this.#unsaved.push({ bucket, hashes: new Uint8Array(Uint32Array.from(pairs).buffer) });
		this.#fresh = new Map();
		return this.#unsaved;
	}

	/** The last changes() are saved. */
	saved(): void {
		this.#unsaved = [];
	}

	/** Takes back what changes() gave. */
	restore({ bucket, hashes }: { bucket: number; hashes: Uint8Array }): void {
		const set = this.#set(bucket);
		const view = new DataView(hashes.buffer, hashes.byteOffset, hashes.byteLength);
		for (let at = 0; at + 8 <= hashes.byteLength; at += 8) set.add(view.getUint32(at, true), view.getUint32(at + 4, true));
	}

	get size(): number {
		return [...this.#buckets.values()].reduce((sum, { size }) => sum + size, 0);
	}

	#set(number: number): HashSet64 {
		let set = this.#buckets.get(number);
		if (!set) {
			set = new HashSet64();
			this.#buckets.set(number, set);
		}
		return set;
	}
}
