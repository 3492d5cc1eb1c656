import { sql } from 'drizzle-orm';
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';

/** What queries run on: the database itself, or a transaction of it. */
export type Connection = PgDatabase<PgQueryResultHKT>;

export interface Database {
	connection: Connection;
	close(): Promise<void>;
}

/**
 * One change of releases or of the catalogue at a time, in this process and in others: what one has read still holds when it writes. For the rest of the
 * transaction.
 */
export async function lockConfiguration(transaction: Connection): Promise<void> {
	await transaction.execute(sql`select pg_advisory_xact_lock(7305)`);
}
