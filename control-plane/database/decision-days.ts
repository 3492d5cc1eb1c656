import { sql } from 'drizzle-orm';
import * as z from 'zod';
import { limits } from '#schemas/limits.ts';
import type { Connection } from './database.ts';

/** Decisions from this instant on and before the other have partitions by day; what lies outside is in two partitions of its own. Fixed by the migration. */
export const FIRST_DAY = Date.UTC(2000, 0, 1);
export const DAY_AFTER_LAST = Date.UTC(2100, 0, 1);

const DAY_MS = 24 * 3600 * 1000;
const NO_PARTITION = '23514'; // check_violation; the table has no other checks
const LOCKED = '55P03'; // lock_not_available

/** The SQLSTATE that the server gave, under whatever drizzle wrapped around it. */
function stateOf(error: unknown): string | undefined {
	for (let inner = error; inner instanceof Error; inner = inner.cause) if ('code' in inner && typeof inner.code === 'string') return inner.code;
	return undefined;
}

/** Whether an insert failed because a day has no partition. */
export const lacksDay = (error: unknown): boolean => stateOf(error) === NO_PARTITION;

/** Makes the partitions of these instants' days (milliseconds since 1970) where they are missing; several processes may do so at once. */
export async function makeDecisionDays(connection: Connection, instants: readonly number[]): Promise<void> {
	const days = [...new Set(instants.map((instant) => Math.floor(instant / DAY_MS) * DAY_MS))];
	await connection.execute(sql`
		select make_decision_day(day::bigint, ${limits.decision_partitions_max}::integer)
		from json_array_elements_text(${JSON.stringify(days)}::json) as given(day)`);
}

const tables = z.object({ rows: z.array(z.object({ name: z.string() })) });

/** The tables of the days that there are, the oldest first. */
export async function listDecisionDays(connection: Connection): Promise<string[]> {
	const result = await connection.execute(sql`
		select relname as name from pg_inherits join pg_class on pg_class.oid = inhrelid
		where inhparent = 'decision'::regclass and relname ~ '^decision_\\d{4}_\\d\\d_\\d\\d$' order by relname`);
	return tables.parse(result).rows.map(({ name }) => name);
}

/**
 * Drops the days that ended at `before` (milliseconds) or earlier, the oldest first. Each waits limits.decision_day_lock_ms at most for those who read the
 * table, since whoever comes meanwhile waits behind it; if it does not get in, this day and the later ones stay for the next time.
 * @returns the tables dropped.
 */
export async function dropDecisionDays(connection: Connection, before: number): Promise<string[]> {
	if (before < FIRST_DAY) return [];
	const kept = `decision_${new Date(before).toISOString().slice(0, 10).replaceAll('-', '_')}`;
	const dropped: string[] = [];
	for (const name of await listDecisionDays(connection)) {
		if (name >= kept) break;
		try {
			await connection.transaction(async (transaction) => {
				await transaction.execute(sql.raw(`set local lock_timeout = ${limits.decision_day_lock_ms}`));
				await transaction.execute(sql`drop table if exists ${sql.identifier(name)}`);
			});
		} catch (error) {
			if (stateOf(error) === LOCKED) break;
			throw error;
		}
		dropped.push(name);
	}
	return dropped;
}
