import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { FeatureCheckpoints } from '#schemas/feature-checkpoints.ts';
import { limits } from '#schemas/limits.ts';
import { partitionsOf, retentionMs, type Topic, topics } from '#schemas/topic.ts';
import { CHECKPOINT_TABLES, embeddedCheckpoints } from './embedded-checkpoints.ts';
import { type Appended, type EventLog, LogUnavailable, PositionLost, type StoredRecord } from './event-log.ts';
import { PartitionsDiffer } from './partitions-differ.ts';
import { recordChecksum } from './record-checksum.ts';

/** The embedded driver: an EventLog, with the feature worker's checkpoints and the kind of clock its records are of. */
export type EmbeddedLog = EventLog & { checkpoints: FeatureCheckpoints; clock: { kind(): string | undefined; set(kind: string): void } };

const TABLES = `
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS record (
	topic INTEGER NOT NULL, part INTEGER NOT NULL, offset INTEGER NOT NULL,
	at INTEGER NOT NULL, crc INTEGER NOT NULL, key TEXT NOT NULL, headers TEXT, value BLOB NOT NULL,
	PRIMARY KEY (topic, part, offset)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS position (grp TEXT NOT NULL, topic INTEGER NOT NULL, part INTEGER NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (grp, topic, part)) WITHOUT ROWID, STRICT;
${CHECKPOINT_TABLES}`;

/** A row as an array: half the price of an object. */
type Row = [offset: number, at: number, crc: number, key: string, headers: string | null, value: Uint8Array];

/** SQLite's own words (disk full, locked, I/O, malformed) are for the operator; the caller may try later. */
function unavailable(error: unknown): unknown {
	const code = (error as { code?: unknown } | null)?.code;
	return code === 'ERR_SQLITE_ERROR' || code === 'ERR_INVALID_STATE' ? new LogUnavailable(`The log cannot be used: ${(error as Error).message}`) : error;
}
function guarded<T>(work: () => T): T {
	try {
		return work();
	} catch (error) {
		throw unavailable(error);
	}
}

/**
 * The log in one SQLite file (WAL, synchronous=FULL: an append is on the disk when it resolves), with the feature worker's checkpoints beside it,
 * so that state, position and offset change in one transaction. One process opens it; the data directory's lock sees to that.
 * @param options.pages_max the file grows to this many pages of 4 KiB and is then full (default: as far as the disk goes).
 * @throws PartitionsDiffer when the file was made with another number of partitions.
 */
export function openEmbeddedLog(directory: string, options: { partitions: number; pages_max?: number }): EmbeddedLog {
	mkdirSync(directory, { recursive: true });
	const db = new DatabaseSync(join(directory, 'log.sqlite'));
	db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -${limits.log_cache_kib}`);
	db.exec(`PRAGMA busy_timeout = ${limits.log_busy_ms}; PRAGMA wal_autocheckpoint = ${limits.log_wal_pages}`);
	if (options.pages_max !== undefined) db.exec(`PRAGMA max_page_count = ${options.pages_max}`);
	db.exec(TABLES);
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
	select.setReturnArrays(true);
	const selectFirst = db.prepare('SELECT min(offset) AS offset FROM record WHERE topic = ? AND part = ?');
	const selectYoung = db.prepare('SELECT offset FROM record WHERE topic = ? AND part = ? AND offset >= ? AND offset < ? AND at >= ? ORDER BY offset LIMIT 1');
	const remove = db.prepare('DELETE FROM record WHERE topic = ? AND part = ? AND offset < ?');
	const numberOf = Object.fromEntries(topics.map((topic, index) => [topic, index])) as Record<Topic, number>;

	/** A partition of a topic: what is known of it without asking the file. */
	interface Slot {
		topic: Topic;
		number: number;
		partition: number;
		start: number;
		end: number;
		/** How the checksums name it. */
		place: string;
	}
	const slots = new Map<Topic, Slot[]>();
	for (const topic of topics) {
		const partitions = partitionsOf(topic, made);
		const own = Array.from({ length: partitions }, (_, partition): Slot => {
			const { first, last } = db
				.prepare('SELECT min(offset) AS first, max(offset) AS last FROM record WHERE topic = ? AND part = ?')
				.get(numberOf[topic], partition) as { first: number | null; last: number | null };
			return { topic, number: numberOf[topic], partition, start: first ?? 0, end: last === null ? 0 : last + 1, place: `${numberOf[topic]}/${partition}` };
		});
		slots.set(topic, own);
	}
	function slotOf(topic: Topic, partition: number): Slot {
		const slot = slots.get(topic)?.[partition];
		if (!slot) throw new RangeError(`There is no partition ${topic}/${partition}: the log has ${made}`);
		return slot;
	}

	const listeners = new Set<() => void>();
	let queue: { records: readonly Appended[]; before: number; resolve: () => void; reject: (error: unknown) => void }[] = [];

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
		const waiting = queue;
		queue = [];
		const ends = new Map<Slot, number>();
		let group = waiting;
		try {
			transaction(() => {
				// The lock is held from here on: what has become too old meanwhile is not written any more.
				const now = Date.now();
				group = waiting.filter(({ before }) => now <= before);
				for (const { records } of group) for (const record of records) write(record, ends);
			});
		} catch (error) {
			for (const { reject } of waiting) reject(unavailable(error));
			return;
		}
		for (const [slot, end] of ends) slot.end = end;
		for (const one of waiting) {
			if (group.includes(one)) one.resolve();
			else one.reject(new LogUnavailable('The log was reached too late: nothing was appended'));
		}
		for (const listener of listeners) listener();
	}

	function write({ topic, partition, key, value, timestamp, headers }: Appended, ends: Map<Slot, number>): void {
		const slot = slotOf(topic, partition);
		const offset = ends.get(slot) ?? slot.end;
		const head = headers ? JSON.stringify(headers) : null;
		insert.run(slot.number, partition, offset, timestamp, recordChecksum(slot.place, offset, timestamp, key, head, value), key, head, value);
		ends.set(slot, offset + 1);
	}

	return {
		identity,
		partitions: made,
		async append(records, { before = Number.POSITIVE_INFINITY } = {}) {
			if (records.length === 0) return;
			// Checked before it shares a transaction with others.
			for (const { topic, partition, timestamp } of records) {
				slotOf(topic, partition);
				if (!Number.isSafeInteger(timestamp)) throw new RangeError(`Cannot append to ${topic}/${partition}: timestamp ${timestamp} is not whole milliseconds`);
			}
			await new Promise<void>((resolve, reject) => {
				if (queue.length === 0) setImmediate(flush);
				queue.push({ records, before, resolve, reject });
			});
		},
		async read(topic, partition, { offset, records_max, bytes_max }) {
			const slot = slotOf(topic, partition);
			if (offset === slot.end) return [];
			if (offset > slot.end || offset < slot.start)
				throw new PositionLost(`Cannot read ${topic}/${partition} from ${offset}: the log has ${slot.start} to ${slot.end}`);
			const records: StoredRecord[] = [];
			let bytes = 0;
			let page: number = limits.log_read_records_min;
			while (records.length < records_max) {
				const limit = Math.min(page, records_max - records.length);
				const rows = guarded(() => select.all(slot.number, partition, offset + records.length, limit)) as unknown as Row[];
				for (const [at, timestamp, crc, key, headers, value] of rows) {
					if (records.length > 0 && bytes + value.length > bytes_max) return records;
					bytes += value.length;
					const wanted = offset + records.length;
					if (at !== wanted) throw new PositionLost(`Cannot read ${topic}/${partition}: offset ${wanted} is missing`);
					records.push({
						offset: at,
						key,
						value,
						timestamp,
						headers: headers === null ? undefined : parseHeaders(headers),
						corrupt: recordChecksum(slot.place, at, timestamp, key, headers, value) !== crc,
					});
				}
				if (rows.length < limit) {
					if (offset + records.length < slot.end) throw new PositionLost(`Cannot read ${topic}/${partition}: offset ${offset + records.length} is missing`);
					break;
				}
				page = Math.max(limits.log_read_records_min, Math.min(limits.log_read_records_max, Math.floor((bytes_max - bytes) / (bytes / records.length + 1))));
			}
			return records;
		},
		start: async (topic, partition) => slotOf(topic, partition).start,
		end: async (topic, partition) => slotOf(topic, partition).end,
		/** The only member that there can be: one process has the file. It reads by the log that it was asked of, so whoever wraps a log wraps its members. */
		async join(group) {
			const all = Array.from({ length: made }, (_, partition) => partition);
			return {
				partitions: () => all,
				onChange: () => () => undefined,
				read: (topic, partition, options) => this.read(topic, partition, options),
				async position(topic, partition) {
					const { number, start } = slotOf(topic, partition);
					const row = guarded(() => db.prepare('SELECT offset FROM position WHERE grp = ? AND topic = ? AND part = ?').get(group, number, partition));
					return row ? Number(row['offset']) : start;
				},
				async commit(topic, partition, offset) {
					const { number } = slotOf(topic, partition);
					guarded(() => db.prepare('INSERT OR REPLACE INTO position (grp, topic, part, offset) VALUES (?, ?, ?, ?)').run(group, number, partition, offset));
				},
				leave: async () => undefined,
			};
		},
		onAppend(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		async expire(now) {
			let forgotten = 0;
			for (const slot of [...slots.values()].flat()) {
				const oldest = now - retentionMs[slot.topic];
				for (;;) {
					// A prefix goes, so that no reader meets a hole; the last record stays: it keeps the offsets growing over a restart.
					const last = Math.min(slot.end - 1, slot.start + limits.log_expire_records_max);
					if (last <= slot.start) break;
					const young = guarded(() => selectYoung.get(slot.number, slot.partition, slot.start, last, oldest));
					const below = young ? Number(young['offset']) : last;
					if (below === slot.start) break;
					forgotten += Number(guarded(() => remove.run(slot.number, slot.partition, below)).changes);
					slot.start = Number(guarded(() => selectFirst.get(slot.number, slot.partition))?.['offset'] ?? below);
					if (young) break;
					await new Promise((resolve) => setImmediate(resolve));
				}
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
		checkpoints: embeddedCheckpoints(db, transaction),
	};
}

/** Headers that a flipped bit has broken are none; the record is corrupt by its checksum anyway. */
function parseHeaders(text: string): Record<string, string> | undefined {
	try {
		return JSON.parse(text) as Record<string, string>;
	} catch {
		return undefined;
	}
}
