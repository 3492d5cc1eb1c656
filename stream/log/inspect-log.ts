import { DatabaseSync } from 'node:sqlite';
import { topics } from '#schemas/topic.ts';
import { recordChecksum } from './record-checksum.ts';

/** What lies in an embedded log's file. */
export interface InspectedLog {
	partitions: number;
	/** `wall` or `replay`; null in a log without events. */
	clock: string | null;
	records: number;
	/** The greatest `at` of a record of the event topics, in milliseconds; null without one. */
	newest_at: number | null;
	/** SQLite's own judgement of the file: empty when it is sound. */
	faults: string[];
	/** Records whose bytes are not those that were written, as `topic/partition@offset`; the first hundred. */
	corrupt: string[];
}

const CORRUPT_SHOWN = 100;

/**
 * Reads an embedded log without changing it, also while its process works on it. With `deep` every record's checksum is recomputed and SQLite checks the
 * whole file: some seconds a gigabyte. @throws when the file cannot be read as a log.
 */
export function inspectLog(file: string, { deep }: { deep: boolean }): InspectedLog {
	const db = new DatabaseSync(file, { readOnly: true, timeout: 5000 });
	try {
		const about = (name: string) => (db.prepare('SELECT value FROM about WHERE name = ?').get(name) as { value: string } | undefined)?.value;
		const { records } = db.prepare('SELECT count(*) AS records FROM record').get() as { records: number };
		const { newest_at } = db.prepare('SELECT max(at) AS newest_at FROM record WHERE topic < 3').get() as { newest_at: number | null };
		const corrupt: string[] = [];
		const faults: string[] = [];
		if (deep) {
			for (const { integrity_check } of db.prepare('PRAGMA integrity_check(100)').iterate() as Iterable<{ integrity_check: string }>)
				if (integrity_check !== 'ok') faults.push(integrity_check);
			const rows = db.prepare('SELECT topic, part, offset, at, crc, key, headers, value FROM record ORDER BY topic, part, offset');
			rows.setReturnArrays(true);
			for (const row of rows.iterate() as unknown as Iterable<[number, number, number, number, number, string, string | null, Uint8Array]>) {
				const [topic, part, offset, at, crc, key, headers, value] = row;
				if (recordChecksum(`${topic}/${part}`, offset, at, key, headers, value) === crc) continue;
				if (corrupt.length < CORRUPT_SHOWN) corrupt.push(`${topics[topic]}/${part}@${offset}`);
			}
		}
		return { partitions: Number(about('partitions')), clock: about('clock') ?? null, records, newest_at, faults, corrupt };
	} finally {
		db.close();
	}
}
