import type { FeatureVector } from '#schemas/feature.ts';
import { limits } from '#schemas/limits.ts';
import type { Region } from '#schemas/region.ts';
import type { Release, ReleasePointer } from '#schemas/release.ts';

export type StoredRegion = [region_id: string, version: number, as_of: number, values: FeatureVector, busy_drivers: number | null, usual_week: number[] | null];
/** The last frame whose features are stored. */
export interface StoredFrame {
	epoch: number;
	seq: number;
	now: number | null;
	/** Wall clock. */
	stored_at: number;
}
export interface StoredRelease {
	pointer: ReleasePointer;
	release: Release;
}

/** What a Shard stores, in its object's SQLite. Each write is whole or not at all, and durable before the object's answer leaves it. */
export class ShardStorage {
	readonly #storage: DurableObjectStorage;

	constructor(storage: DurableObjectStorage) {
		this.#storage = storage;
		storage.sql.exec(
			`CREATE TABLE IF NOT EXISTS entry (region_id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
			 CREATE TABLE IF NOT EXISTS rule_set (digest TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
			 CREATE TABLE IF NOT EXISTS features (part INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
			 CREATE TABLE IF NOT EXISTS value (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT`,
		);
	}

	putEntry(entry: Region): void {
		this.#storage.sql.exec('INSERT OR REPLACE INTO entry (region_id, body) VALUES (?, ?)', entry.region_id, JSON.stringify(entry));
	}

	/** A release with the bodies of its rule sets by digest; other bodies are forgotten. */
	putRelease(stored: StoredRelease, bodies: ReadonlyMap<string, string>): void {
		const { sql } = this.#storage;
		this.#storage.transactionSync(() => {
			for (const [digest, body] of bodies) sql.exec('INSERT OR IGNORE INTO rule_set (digest, body) VALUES (?, ?)', digest, body);
			sql.exec('DELETE FROM rule_set WHERE digest NOT IN (SELECT value FROM json_each(?))', JSON.stringify([...bodies.keys()]));
			this.#putValue('release', stored);
		});
	}

	/** All features, with the frame that they are as of. */
	putFeatures(regions: readonly StoredRegion[], frame: StoredFrame): void {
		const { sql } = this.#storage;
		const { stored_regions_max } = limits;
		this.#storage.transactionSync(() => {
			sql.exec('DELETE FROM features');
			for (let part = 0; part * stored_regions_max < regions.length; part++) {
				const own = regions.slice(part * stored_regions_max, (part + 1) * stored_regions_max);
				sql.exec('INSERT INTO features (part, body) VALUES (?, ?)', part, JSON.stringify(own));
			}
			this.#putValue('frame', frame);
		});
	}

	entries = (): Region[] => this.#bodies<Region>('SELECT body FROM entry');
	regions = (): StoredRegion[] => this.#bodies<StoredRegion[]>('SELECT body FROM features').flat();
	release = (): StoredRelease | undefined => this.#bodies<StoredRelease>("SELECT body FROM value WHERE name = 'release'")[0];
	frame = (): StoredFrame | undefined => this.#bodies<StoredFrame>("SELECT body FROM value WHERE name = 'frame'")[0];

	ruleSets(): Map<string, string> {
		const rows = this.#storage.sql.exec<{ digest: string; body: string }>('SELECT digest, body FROM rule_set').toArray();
		return new Map(rows.map(({ digest, body }) => [digest, body]));
	}

	#putValue(name: 'release' | 'frame', value: StoredRelease | StoredFrame): void {
		this.#storage.sql.exec('INSERT OR REPLACE INTO value (name, body) VALUES (?, ?)', name, JSON.stringify(value));
	}

	/** Rows that this code wrote. */
	#bodies<T>(query: string): T[] {
		return this.#storage.sql
			.exec<{ body: string }>(query)
			.toArray()
			.map(({ body }) => JSON.parse(body) as T);
	}
}
