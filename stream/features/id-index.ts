import { limits } from '#schemas/limits.ts';
import { HashSet64 } from './hash-set-64.ts';

interface Bucket {
	number: number;
	ids: HashSet64;
	/** Pairs that were added since the last changes(). */
	fresh: number[];
}

const bucketOf = (timestamp: number): number => Math.floor(timestamp / limits.id_bucket_ms);

/**
 * The event ids that a partition has folded, as 64-bit hashes in buckets of five minutes of event time. An id is remembered until the partition's
 * ingested_at passes its timestamp + the lateness + 30 s; after that a resend is late by its own stamp. 8 bytes an id.
 */
export class IdIndex {
	readonly #seeds: readonly [number, number];
	/** A handful, by number; in a list, since every event looks into each of them. */
	#buckets: Bucket[] = [];
	#first = 0;
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
		const number = bucketOf(timestamp);
		for (const bucket of this.#buckets) if (bucket.number >= first && bucket.number !== number && bucket.ids.has(high, low)) return false;
		const own = this.#bucket(number);
		if (!own.ids.add(high, low) && number >= first) return false;
		own.fresh.push(high, low);
		return true;
	}

	/** Frees the buckets that end before `timestamp`: nothing that is still to be added counts them. */
	forget(timestamp: number): void {
		const first = bucketOf(timestamp);
		if (first <= this.#first) return;
		this.#first = first;
		this.#buckets = this.#buckets.filter(({ number }) => number >= first);
		this.#unsaved = this.#unsaved.filter(({ bucket }) => bucket >= first);
	}

	/** The number of the first bucket that is kept; stored ones below it may go. */
	get first(): number {
		return this.#first;
	}

	/** What was added since the last checkpoint that was saved. */
	changes(): { bucket: number; hashes: Uint8Array }[] {
		for (const bucket of this.#buckets) {
			if (bucket.fresh.length === 0) continue;
			this.#unsaved.push({ bucket: bucket.number, hashes: new Uint8Array(Uint32Array.from(bucket.fresh).buffer) });
			bucket.fresh = [];
		}
		return this.#unsaved;
	}

	/** The last changes() are saved. */
	saved(): void {
		this.#unsaved = [];
	}

	/** Takes back what changes() gave. */
	restore({ bucket, hashes }: { bucket: number; hashes: Uint8Array }): void {
		const set = this.#bucket(bucket).ids;
		const view = new DataView(hashes.buffer, hashes.byteOffset, hashes.byteLength);
		for (let at = 0; at + 8 <= hashes.byteLength; at += 8) set.add(view.getUint32(at, true), view.getUint32(at + 4, true));
	}

	get size(): number {
		return this.#buckets.reduce((sum, { ids }) => sum + ids.size, 0);
	}

	#bucket(number: number): Bucket {
		for (const bucket of this.#buckets) if (bucket.number === number) return bucket;
		const made: Bucket = { number, ids: new HashSet64(), fresh: [] };
		this.#buckets.push(made);
		return made;
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
