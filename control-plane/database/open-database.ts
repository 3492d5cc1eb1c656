import { sql } from 'drizzle-orm';
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';

/** What queries run on: the database itself, or a transaction of it. */
export type Connection = PgDatabase<PgQueryResultHKT>;

export interface Database {
	connection: Connection;
	close(): Promise<void>;
}

/**
 * Opens the database at a place and brings its tables to this version's form: a directory (the embedded Postgres) or a `postgres://` URL, which goes through
 * Neon's own driver where the host is Neon's. Only the driver that is wanted is loaded. A server that is away makes queries throw UnavailableError.
 * @param options.onTrouble connections that ended by themselves.
 */
export async function openDatabase(place: string, { onTrouble = () => undefined }: { onTrouble?: (text: string) => void } = {}): Promise<Database> {
	if (!/^postgres(ql)?:\/\//.test(place)) return (await import('./open-pglite.ts')).openPglite(place);
	if (/(^|\.)neon\.tech$/.test(URL.canParse(place) ? new URL(place).hostname : '')) return (await import('./open-neon.ts')).openNeon(place, { onTrouble });
	return (await import('./open-postgres.ts')).openPostgres(place, { onTrouble });
}

/**
 * One change of releases or of the catalogue at a time, in this process and in others: what one has read still holds when it writes. For the rest of the
 * transaction.
 */
export async function lockConfiguration(transaction: Connection): Promise<void> {
	await transaction.execute(sql`select pg_advisory_xact_lock(7305)`);
}
