import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { keyedTopics, retentionMs, type Topic, topics } from '#schemas/topic.ts';
import { crc32c } from './crc32c.ts';
import { type Appended, type EventLog, LogUnavailable, PositionLost, type StoredRecord } from './event-log.ts';
import type { FeatureCheckpoint, FeatureCheckpoints } from './feature-checkpoints.ts';
import { Fenced } from './feature-checkpoints.ts';

interface Row {
	offset: number;
	at: number;
	crc: number;
	key: string;
	headers: string | null;
	value: Uint8Array;
}

/** The log was made with another number of partitions. */
export class PartitionsDiffer extends Error {}

const SCHEMA = `
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS record (
	topic INTEGER NOT NULL, part INTEGER NOT NULL, offset INTEGER NOT NULL,
	at INTEGER NOT NULL, crc INTEGER NOT NULL, key TEXT NOT NULL, headers TEXT, value BLOB NOT NULL,
	PRIMARY KEY (topic, part, offset)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS position (grp TEXT NOT NULL, topic INTEGER NOT NULL, part INTEGER NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (grp, topic, part)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS owner (part INTEGER PRIMARY KEY, epoch INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS state (part INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS region (part INTEGER NOT NULL, region_id TEXT NOT NULL, recent BLOB NOT NULL, PRIMARY KEY (part, region_id)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS region_day (part INTEGER NOT NULL, region_id TEXT NOT NULL, day INTEGER NOT NULL, counts BLOB NOT NULL, PRIMARY KEY (part, region_id, day)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS event_ids (part INTEGER NOT NULL, bucket INTEGER NOT NULL, chunk INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (part, bucket, chunk)) WITHOUT ROWID, STRICT;
`;

/** One checksum over everything a reader relies on. */
function checksum(topic: number, part: number, record: { offset: number; at: number; key: string; headers: string | null; value: Uint8Array }): number {
	return crc32c(record.value, crc32c(Buffer.from(`${topic}/${part}/${record.offset}/${record.at}/${record.key}/${record.headers ?? ''}`, 'latin1')));
}

/**
 * The log in one SQLite file (WAL, synchronous=FULL: an append is on the disk when it resolves), with the feature worker's checkpoints beside it,
 * so that state, position and offset change in one transaction. One process opens it; the data directory's lock sees to that.
 * @throws PartitionsDiffer when the file was made with another number of partitions.
 */
export function openEmbeddedLog(
	directory: string,
	options: { partitions: number },
): EventLog & { checkpoints: FeatureCheckpoints; clock: { kind(): string | undefined; set(kind: string): void } } {
	mkdirSync(directory, { recursive: true });
	const db = new DatabaseSync(join(directory, 'log.sqlite'));
	db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 4000');
	db.exec(SCHEMA);
	const about = (name: string, value: string): string => {
		db.prepare('INSERT OR IGNORE INTO about (name, value) VALUES (?, ?)').run(name, value);
		return (db.prepare('SELECT value FROM about WHERE name = ?').get(name) as { value: string }).value;
	};
	const identity = about('identity', randomUUID());
	const made = Number(about('partitions', String(options.partitions)));
	if (made !== options.partitions) {
		db.close();
		throw new PartitionsDiffer(`Cannot open the log with PARTITIONS=${options.partitions}: it was made with PARTITIONS=${made}, which is fixed from then on`);
	}

	const insert = db.prepare('INSERT INTO record (topic, part, offset, at, crc, key, headers, value) VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
	const select = db.prepare('SELECT offset, at, crc, key, headers, value FROM record WHERE topic = ? AND part = ? AND offset >= ? ORDER BY offset LIMIT ?');
	const partitionsOf = (topic: Topic) => ((keyedTopics as readonly Topic[]).includes(topic) ? made : 1);
	const numberOf = Object.fromEntries(topics.map((topic, index) => [topic, index])) as Record<Topic, number>;
	const ends = new Map<string, number>();
	const starts = new Map<string, number>();
	const slot = (topic: Topic, partition: number) => `${topic}/${partition}`;
	for (const topic of topics)
		for (let partition = 0; partition < partitionsOf(topic); partition++) {
			const { first, last } = db
				.prepare('SELECT min(offset) AS first, max(offset) AS last FROM record WHERE topic = ? AND part = ?')
				.get(numberOf[topic], partition) as {
				first: number | null;
				last: number | null;
			};
			ends.set(slot(topic, partition), last === null ? 0 : last + 1);
			starts.set(slot(topic, partition), first ?? 0);
		}
	const listeners = new Set<() => void>();
	let queue: { records: readonly Appended[]; resolve: () => void; reject: (error: unknown) => void }[] = [];

	function transaction<T>(work: () => T): T {
		db.exec('BEGIN IMMEDIATE');
		try {
			const result = work();
			db.exec('COMMIT');
			return result;
		} catch (error) {
			if (db.isTransaction) db.exec('ROLLBACK');
			throw error;
		}
	}

	/** Group commit: appends of one turn share a transaction, and so a wait for the disk. It keeps all of them or none. */
	function flush(): void {
		const group = queue;
		queue = [];
		const next = new Map<string, number>();
		try {
			transaction(() => {
				for (const { records } of group) for (const record of records) write(record, next);
			});
		} catch (error) {
			// SQLite's own words (disk full, locked, I/O) are for the operator; nothing was appended.
			const unavailable = new LogUnavailable(error instanceof Error ? error.message : String(error));
			for (const { reject } of group) reject(unavailable);
			return;
		}
		for (const [at, offset] of next) ends.set(at, offset);
		for (const { resolve } of group) resolve();
		for (const listener of listeners) listener();
	}

	function write({ topic, partition, key, value, timestamp, headers }: Appended, next: Map<string, number>): void {
		const at = slot(topic, partition);
		const offset = next.get(at) ?? ends.get(at);
		if (offset === undefined) throw new Error(`Cannot append to ${at}: there is no such partition`);
		const record = { offset, at: timestamp, key, headers: headers ? JSON.stringify(headers) : null, value };
		insert.run(numberOf[topic], partition, offset, timestamp, checksum(numberOf[topic], partition, record), key, record.headers, value);
		next.set(at, offset + 1);
	}

	return {
		identity,
		partitions: made,
		append(records: readonly Appended[]) {
			if (records.length === 0) return Promise.resolve();
			return new Promise((resolve, reject) => {
				if (queue.length === 0) setImmediate(flush);
				queue.push({ records, resolve, reject });
			});
		},
		async read(topic, partition, { offset, records_max, bytes_max }) {
			const at = slot(topic, partition);
			const end = ends.get(at) ?? 0;
			if (offset === end) return [];
			if (offset > end || offset < (starts.get(at) ?? 0))
				throw new PositionLost(`Cannot read ${at} from ${offset}: the log has ${starts.get(at) ?? 0} to ${end}`);
			const records: StoredRecord[] = [];
			let bytes = 0;
			for (const row of select.iterate(numberOf[topic], partition, offset, records_max) as Iterable<unknown> as Iterable<Row>) {
				if (records.length > 0 && bytes + row.value.length > bytes_max) break;
				bytes += row.value.length;
				if (row.offset !== offset + records.length) throw new PositionLost(`Cannot read ${at}: offset ${offset + records.length} is missing`);
				records.push({
					offset: row.offset,
					key: row.key,
					value: row.value,
					timestamp: row.at,
					...(row.headers ? { headers: JSON.parse(row.headers) } : {}),
					corrupt: checksum(numberOf[topic], partition, row) !== row.crc,
				});
			}
			return records;
		},
		async end(topic, partition) {
			return ends.get(slot(topic, partition)) ?? 0;
		},
		async position(group, topic, partition) {
			const row = db.prepare('SELECT offset FROM position WHERE grp = ? AND topic = ? AND part = ?').get(group, numberOf[topic], partition) as
				| { offset: number }
				| undefined;
			return row?.offset ?? 0;
		},
		async commit(group, topic, partition, offset) {
			db.prepare('INSERT OR REPLACE INTO position (grp, topic, part, offset) VALUES (?, ?, ?, ?)').run(group, numberOf[topic], partition, offset);
		},
		onAppend(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		async expire(now) {
			let forgotten = 0;
			for (const topic of topics)
				for (let partition = 0; partition < partitionsOf(topic); partition++) {
					const at = slot(topic, partition);
					// The last record stays: it keeps the offsets growing over a restart.
					const { changes } = db
						.prepare('DELETE FROM record WHERE topic = ? AND part = ? AND offset < ? AND at < ?')
						.run(numberOf[topic], partition, (ends.get(at) ?? 0) - 1, now - retentionMs[topic]);
					if (Number(changes) === 0) continue;
					forgotten += Number(changes);
					const { first } = db.prepare('SELECT min(offset) AS first FROM record WHERE topic = ? AND part = ?').get(numberOf[topic], partition) as {
						first: number;
					};
					starts.set(at, first);
				}
			return forgotten;
		},
		async close() {
			if (queue.length > 0) flush();
			listeners.clear();
			if (db.isOpen) db.close();
		},
		clock: {
			kind: () => (db.prepare("SELECT value FROM about WHERE name = 'clock'").get() as { value: string } | undefined)?.value,
			set: (kind) => void about('clock', kind),
		},
		checkpoints: {
			async claim(partition) {
				return transaction(() => {
					db.prepare('INSERT INTO owner (part, epoch) VALUES (?, 1) ON CONFLICT (part) DO UPDATE SET epoch = epoch + 1').run(partition);
					return (db.prepare('SELECT epoch FROM owner WHERE part = ?').get(partition) as { epoch: number }).epoch;
				});
			},
			async raise(partition, above) {
				return transaction(() => {
					db.prepare('UPDATE owner SET epoch = max(epoch, ?) + 1 WHERE part = ?').run(above, partition);
					return (db.prepare('SELECT epoch FROM owner WHERE part = ?').get(partition) as { epoch: number }).epoch;
				});
			},
			async load(partition) {
				const row = db.prepare('SELECT body FROM state WHERE part = ?').get(partition) as { body: string } | undefined;
				if (!row) return undefined;
				const days = new Map<string, { day: number; counts: Uint8Array }[]>();
				for (const day of db
					.prepare('SELECT region_id, day, counts FROM region_day WHERE part = ? ORDER BY region_id, day')
					.iterate(partition) as Iterable<unknown> as Iterable<{
					region_id: string;
					day: number;
					counts: Uint8Array;
				}>) {
					const own = days.get(day.region_id) ?? [];
					own.push({ day: day.day, counts: day.counts });
					days.set(day.region_id, own);
				}
				const regions = (
					db.prepare('SELECT region_id, recent FROM region WHERE part = ?').all(partition) as unknown as { region_id: string; recent: Uint8Array }[]
				).map(({ region_id, recent }) => ({ region_id, recent, days: days.get(region_id) ?? [] }));
				const ids = db.prepare('SELECT bucket, hashes FROM event_ids WHERE part = ? ORDER BY bucket, chunk').all(partition) as unknown as {
					bucket: number;
					hashes: Uint8Array;
				}[];
				return { ...(JSON.parse(row.body) as Pick<FeatureCheckpoint, 'progress'>), regions, ids };
			},
			async save(partition, { epoch, progress, regions, ids, forgotten_buckets_below, forgotten_days_below }) {
				transaction(() => {
					const owner = db.prepare('SELECT epoch FROM owner WHERE part = ?').get(partition) as { epoch: number } | undefined;
					if (owner && owner.epoch > epoch) throw new Fenced(`Cannot save partition ${partition} as epoch ${epoch}: epoch ${owner.epoch} owns it`);
					db.prepare('INSERT OR REPLACE INTO state (part, body) VALUES (?, ?)').run(partition, JSON.stringify({ progress }));
					const putRegion = db.prepare('INSERT OR REPLACE INTO region (part, region_id, recent) VALUES (?, ?, ?)');
					const putDay = db.prepare('INSERT OR REPLACE INTO region_day (part, region_id, day, counts) VALUES (?, ?, ?, ?)');
					const dropDays = db.prepare('DELETE FROM region_day WHERE part = ? AND region_id = ? AND day < ?');
					for (const { region_id, recent, days } of regions) {
						putRegion.run(partition, region_id, recent);
						for (const { day, counts } of days) putDay.run(partition, region_id, day, counts);
						if (days.length > 0) dropDays.run(partition, region_id, forgotten_days_below);
					}
					const { chunk } = db.prepare('SELECT coalesce(max(chunk), 0) AS chunk FROM event_ids WHERE part = ?').get(partition) as { chunk: number };
					const putIds = db.prepare('INSERT INTO event_ids (part, bucket, chunk, hashes) VALUES (?, ?, ?, ?)');
					for (const { bucket, hashes } of ids) putIds.run(partition, bucket, chunk + 1, hashes);
					db.prepare('DELETE FROM event_ids WHERE part = ? AND bucket < ?').run(partition, forgotten_buckets_below);
				});
			},
		},
	};
}
