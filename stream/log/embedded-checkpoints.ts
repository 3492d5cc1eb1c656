import type { DatabaseSync } from 'node:sqlite';
import { type FeatureCheckpoint, type FeatureCheckpoints, Fenced, type RegionState } from '#schemas/feature-checkpoints.ts';

export const CHECKPOINT_TABLES = `
CREATE TABLE IF NOT EXISTS owner (part INTEGER PRIMARY KEY, epoch INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS worker_state (part INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS region_state (part INTEGER NOT NULL, region_id TEXT NOT NULL, recent BLOB NOT NULL, active BLOB NOT NULL, PRIMARY KEY (part, region_id)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS region_day (part INTEGER NOT NULL, region_id TEXT NOT NULL, day INTEGER NOT NULL, counts BLOB NOT NULL, PRIMARY KEY (part, region_id, day)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS event_ids (part INTEGER NOT NULL, bucket INTEGER NOT NULL, chunk INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (part, bucket, chunk)) WITHOUT ROWID, STRICT;
`;

/** The feature worker's checkpoints in the log's own file. `transaction` runs its work under the file's write lock. */
export function embeddedCheckpoints(db: DatabaseSync, transaction: <T>(work: () => T) => T): FeatureCheckpoints {
	const ownerOf = (partition: number) => (db.prepare('SELECT epoch FROM owner WHERE part = ?').get(partition) as { epoch: number } | undefined)?.epoch ?? 0;
	const own = (partition: number, epoch: number): number => {
		db.prepare('INSERT OR REPLACE INTO owner (part, epoch) VALUES (?, ?)').run(partition, epoch);
		return epoch;
	};
	return {
		claim: async (partition) => transaction(() => own(partition, ownerOf(partition) + 1)),
		raise: async (partition, { epoch, above }) =>
			transaction(() => {
				const owner = ownerOf(partition);
				if (owner !== epoch) throw new Fenced(`Cannot raise the epoch of partition ${partition} from ${epoch}: epoch ${owner} owns it`);
				return own(partition, Math.max(epoch, above) + 1);
			}),
		owner: async (partition) => ownerOf(partition),
		async load(partition) {
			const row = db.prepare('SELECT body FROM worker_state WHERE part = ?').get(partition) as { body: string } | undefined;
			if (!row) return undefined;
			const regions = new Map<string, RegionState>();
			for (const state of db.prepare('SELECT region_id, recent, active FROM region_state WHERE part = ?').iterate(partition))
				regions.set(String(state['region_id']), { ...(state as unknown as Omit<RegionState, 'days'>), days: [] });
			for (const day of db.prepare('SELECT region_id, day, counts FROM region_day WHERE part = ?').iterate(partition))
				regions.get(String(day['region_id']))?.days.push({ day: Number(day['day']), counts: day['counts'] as Uint8Array });
			const ids = db.prepare('SELECT bucket, hashes FROM event_ids WHERE part = ? ORDER BY bucket, chunk').all(partition);
			return {
				...(JSON.parse(row.body) as Pick<FeatureCheckpoint, 'progress'>),
				regions: [...regions.values()],
				ids: ids as unknown as FeatureCheckpoint['ids'],
			};
		},
		async save(partition, { epoch, anew, progress, regions, ids, forgotten_buckets_below, forgotten_days_below }) {
			transaction(() => {
				const owner = ownerOf(partition);
				if (owner > epoch) throw new Fenced(`Cannot save partition ${partition} as epoch ${epoch}: epoch ${owner} owns it`);
				if (anew) for (const table of ['region_state', 'region_day', 'event_ids']) db.prepare(`DELETE FROM ${table} WHERE part = ?`).run(partition);
				db.prepare('INSERT OR REPLACE INTO worker_state (part, body) VALUES (?, ?)').run(partition, JSON.stringify({ progress }));
				const putRegion = db.prepare('INSERT OR REPLACE INTO region_state (part, region_id, recent, active) VALUES (?, ?, ?, ?)');
				const putDay = db.prepare('INSERT OR REPLACE INTO region_day (part, region_id, day, counts) VALUES (?, ?, ?, ?)');
				const dropDays = db.prepare('DELETE FROM region_day WHERE part = ? AND region_id = ? AND day < ?');
				for (const { region_id, recent, active, days } of regions) {
					putRegion.run(partition, region_id, recent, active);
					for (const { day, counts } of days) putDay.run(partition, region_id, day, counts);
					if (days.length > 0) dropDays.run(partition, region_id, forgotten_days_below);
				}
				const { chunk } = db.prepare('SELECT coalesce(max(chunk), 0) + 1 AS chunk FROM event_ids WHERE part = ?').get(partition) as { chunk: number };
				const putIds = db.prepare('INSERT INTO event_ids (part, bucket, chunk, hashes) VALUES (?, ?, ?, ?)');
				for (const [index, { bucket, hashes }] of ids.entries()) putIds.run(partition, bucket, chunk + index, hashes);
				db.prepare('DELETE FROM event_ids WHERE part = ? AND bucket < ?').run(partition, forgotten_buckets_below);
			});
		},
	};
}
