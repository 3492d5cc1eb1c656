import { fileURLToPath } from 'node:url';
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';
import { limits } from '#schemas/limits.ts';
import type { Database } from './open-database.ts';

/** Held while one process brings the tables to this version's form; the others wait for it. Another number than that of lockConfiguration. */
const MIGRATION_LOCK = 7304;

/**
 * Opens a database of a PostgreSQL server (tested on 15) by its URL and brings its tables to this version's form, one process at a time. Connections come and
 * go as the server does: a query while it is away throws, the next one after it is back works.
 */
export async function openPostgres(url: string, { onTrouble }: { onTrouble: (text: string) => void }): Promise<Database> {
	const pool = new pg.Pool({
		connectionString: url,
		max: limits.database_connections_max,
		connectionTimeoutMillis: limits.database_connect_ms,
		idleTimeoutMillis: limits.database_idle_ms,
		statement_timeout: limits.database_statement_ms,
		query_timeout: limits.database_statement_ms + limits.database_connect_ms, // a server that is gone answers no timeout of its own
		keepAlive: true,
		application_name: 'surgecast',
	});
	// A connection that rests in the pool and ends; without a listener it would end the process.
	pool.on('error', (error) => onTrouble(`A connection to PostgreSQL ended: ${error.message}`));
	const place = `${new URL(url).host}${new URL(url).pathname}`;
	try {
		const client = await pool.connect();
		try {
			const own = drizzle({ client });
			await own.execute(sql`set statement_timeout = 0`); // a migration takes what it takes
			await own.execute(sql`select pg_advisory_lock(${MIGRATION_LOCK}::bigint)`);
			try {
				await migrate(own, { migrationsFolder: fileURLToPath(new URL('./migrations', import.meta.url)) });
			} finally {
				await own.execute(sql`select pg_advisory_unlock(${MIGRATION_LOCK}::bigint)`);
			}
			client.release(true); // with its timeout it is not like the others
		} catch (error) {
			client.release(true);
			throw error;
		}
	} catch (cause) {
		await pool.end();
		throw new Error(`Cannot bring the database at ${place} to this version's form: ${(cause as Error).message}`, { cause });
	}
	let ended: Promise<void> | undefined;
	return {
		connection: drizzle({ client: pool }),
		close() {
			ended ??= pool.end();
			return ended;
		},
	};
}
