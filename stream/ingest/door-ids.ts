import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { EventInput } from '#schemas/event.ts';
import { limits } from '#schemas/limits.ts';

const GENERATION_MS = 24 * 3_600_000;

/** JSON with sorted keys: equal payloads give equal text. */
function canonical(value: unknown): string {
	if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
	if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
	return `{${Object.entries(value)
		.filter(([, inner]) => inner !== undefined)
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`)
		.join(',')}}`;
}

export interface SeenEvent {
	event_id: string;
	/** SHA-256 of the parsed payload without its id, its alias and its timestamp; 16 bytes. */
	payload: Buffer;
	/** null when the producer gave none: such an event equals one with any timestamp. */
	timestamp: number | null;
}

/** What the door compares of an event: payloads are equal when they are so after parsing. */
export function seenEvent(event: EventInput, eventId: string): SeenEvent {
	const { event_id: _, idempotency_key: __, timestamp, ...payload } = event;
	return { event_id: eventId, payload: createHash('sha256').update(canonical(payload)).digest().subarray(0, 16), timestamp: timestamp ?? null };
}

/**
 * The ids that the door has answered 2xx, over restarts: for 24 hours at least, up to `limits.door_ids_max` ids, whichever is reached first. Two
 * generations of a table; when the young one is a day old or half of the bound, the old one goes. Written after the log has the events, so an id
 * here is always an event there; ids lost by a crash between the two only make a resend "accepted" once more, and the fold still counts it once.
 */
export interface DoorIds {
	/** The event that this id was given to, if it is remembered. */
	find(eventId: string): SeenEvent | undefined;
	remember(events: readonly SeenEvent[], at: number): void;
	close(): void;
}

/**
 * @param options.now the deployment clock, milliseconds.
 * @param options.ids_max how many ids are remembered at most; half of them at least.
 */
export function openDoorIds(directory: string, options: { now: number; ids_max?: number }): DoorIds {
	const { ids_max = limits.door_ids_max } = options;
	mkdirSync(directory, { recursive: true });
	const db = new DatabaseSync(join(directory, 'door-ids.sqlite'));
	db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384; PRAGMA busy_timeout = 5000');
	db.exec('CREATE TABLE IF NOT EXISTS generation (number INTEGER PRIMARY KEY, since INTEGER NOT NULL) STRICT');
	const table = (number: number) => `seen_${number}`;
	const make = (number: number) =>
		db.exec(`CREATE TABLE IF NOT EXISTS ${table(number)} (id BLOB PRIMARY KEY, payload BLOB NOT NULL, timestamp INTEGER) WITHOUT ROWID, STRICT`);
	type Generation = { number: number; since: number };
	let generations = db.prepare('SELECT number, since FROM generation ORDER BY number').all() as unknown as Generation[];
	for (const { number } of generations) make(number);
	let youngSize = 0;
	let statements: { find: ReturnType<DatabaseSync['prepare']>[]; insert: ReturnType<DatabaseSync['prepare']> } | undefined;

	function rotate(at: number): void {
		const number = (generations.at(-1)?.number ?? 0) + 1;
		make(number);
		db.prepare('INSERT INTO generation (number, since) VALUES (?, ?)').run(number, at);
		generations.push({ number, since: at });
		for (const old of generations.slice(0, -2)) {
			db.exec(`DROP TABLE ${table(old.number)}`);
			db.prepare('DELETE FROM generation WHERE number = ?').run(old.number);
		}
		generations = generations.slice(-2);
		youngSize = 0;
		statements = undefined;
	}
	function prepared(): NonNullable<typeof statements> {
		statements ??= {
			find: [...generations].reverse().map(({ number }) => db.prepare(`SELECT payload, timestamp FROM ${table(number)} WHERE id = ?`)),
			insert: db.prepare(`INSERT OR REPLACE INTO ${table(generations.at(-1)?.number ?? 0)} (id, payload, timestamp) VALUES (?, ?, ?)`),
		};
		return statements;
	}
	const keyOf = (eventId: string) => createHash('sha256').update(eventId).digest().subarray(0, 16);

	if (generations.length === 0) rotate(options.now);
	const young = generations.at(-1);
	if (young) youngSize = (db.prepare(`SELECT count(*) AS n FROM ${table(young.number)}`).get() as { n: number }).n;

	return {
		find(eventId) {
			for (const statement of prepared().find) {
				const row = statement.get(keyOf(eventId)) as { payload: Uint8Array; timestamp: number | null } | undefined;
				if (row) return { event_id: eventId, payload: Buffer.from(row.payload), timestamp: row.timestamp };
			}
			return undefined;
		},
		remember(events, at) {
			const since = generations.at(-1)?.since;
			if (since === undefined || at - since >= GENERATION_MS || youngSize + events.length > ids_max / 2) rotate(at);
			const { insert } = prepared();
			db.exec('BEGIN');
			try {
				for (const { event_id, payload, timestamp } of events) insert.run(keyOf(event_id), payload, timestamp);
				db.exec('COMMIT');
			} catch (error) {
				if (db.isTransaction) db.exec('ROLLBACK');
				throw error;
			}
			youngSize += events.length;
		},
		close() {
			if (db.isOpen) db.close();
		},
	};
}
