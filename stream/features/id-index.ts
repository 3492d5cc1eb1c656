import { limits } from '#schemas/limits.ts';
import { HashSet64 } from './hash-set-64.ts';

const bucketOf = (timestamp: number): number => Math.floor(timestamp / limits.id_bucket_ms);

/**
 * The event ids that a partition has folded, as 64-bit hashes in buckets of five minutes of event time. An id is remembered until the partition's
 * ingested_at passes its timestamp + the lateness + 30 s; after that a resend is late by its own stamp. 8 bytes an id.
 */
export class IdIndex {
	readonly #seeds: readonly [number, number];
	readonly #buckets = new Map<number, HashSet64>();
	#first = 0;
	#fresh = new Map<number, number[]>();
	/** Given out by changes(), not known to be saved. */
	#unsaved: { bucket: number; hashes: Uint8Array }[] = [];
	#high = 0;
	#low = 0;

	/** @param seeds drawn once and kept secret, so that ids that collide cannot be chosen from outside. */
	constructor(seeds: readonly [number, number]) {
		this.#seeds = seeds;
	}

	/**
	 * Remembers the id of an event of this instant; false when it was known, whatever its timestamp then.
	 * @param since ids of buckets before this instant no longer count, whether forgotten yet or not: so the answer depends on the log alone.
	 */
	add(eventId: string, timestamp: number, since = 0): boolean {
		this.#hash(eventId);
		const high = this.#high;
		const low = this.#low;
		const first = bucketOf(since);
		for (const [number, bucket] of this.#buckets) if (number >= first && bucket.has(high, low)) return false;
		const number = bucketOf(timestamp);
		this.#bucket(number).add(high, low);
		const fresh = this.#fresh.get(number);
		if (fresh) fresh.push(high, low);
		else this.#fresh.set(number, [high, low]);
		return true;
	}

	/** Frees the buckets that end before `timestamp`: nothing that is still to be added counts them. */
	forget(timestamp: number): void {
		const first = bucketOf(timestamp);
		if (first <= this.#first) return;
		this.#first = first;
		for (const number of this.#buckets.keys()) if (number < first) this.#buckets.delete(number);
		for (const number of this.#fresh.keys()) if (number < first) this.#fresh.delete(number);
		this.#unsaved = this.#unsaved.filter(({ bucket }) => bucket >= first);
	}

	/** The number of the first bucket that is kept; stored ones below it may go. */
	get first(): number {
		return this.#first;
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
		const set = this.#bucket(bucket);
		const view = new DataView(hashes.buffer, hashes.byteOffset, hashes.byteLength);
		for (let at = 0; at + 8 <= hashes.byteLength; at += 8) set.add(view.getUint32(at, true), view.getUint32(at + 4, true));
	}

	get size(): number {
		return [...this.#buckets.values()].reduce((sum, { size }) => sum + size, 0);
	}

	#bucket(number: number): HashSet64 {
		let set = this.#buckets.get(number);
		if (!set) {
			set = new HashSet64();
			this.#buckets.set(number, set);
		}
		return set;
	}

	/** Two lanes of Murmur3's 32-bit mixing over the characters, each with a seed and constants of its own (x86_128's first two). */
	#hash(text: string): void {
		let a = this.#seeds[0];
		let b = this.#seeds[1];
		const { length } = text;
		for (let i = 0; i < length; i++) {
			const code = text.charCodeAt(i);
			let k = Math.imul(code, 0x239b961b);
			a ^= Math.imul((k << 15) | (k >>> 17), 0xab0e9789);
			a = (Math.imul((a << 19) | (a >>> 13), 5) + 0x561ccd1b) | 0;
			k = Math.imul(code, 0x38b34ae5);
			b ^= Math.imul((k << 17) | (k >>> 15), 0xa1e38b93);
			b = (Math.imul((b << 13) | (b >>> 19), 5) + 0x0bcaa747) | 0;
		}
		this.#high = finish(a ^ length);
		this.#low = finish(b ^ length) || 1; // never the empty slot
	}
}

function finish(h: number): number {
	let mixed = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
	mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
	return (mixed ^ (mixed >>> 16)) >>> 0;
}
