import { drizzle } from 'drizzle-orm/node-postgres';
import pg from 'pg';
import type { Database } from './database.ts';
import { guardPool } from './guard-pool.ts';
import { openServer, type ServerOptions, serverSettings } from './open-server.ts';

/** Opens a database of a PostgreSQL server (tested on 15) by its URL. See openServer. */
export async function openPostgres(url: string, { onTrouble, statement_ms }: ServerOptions): Promise<Database> {
	const settings = serverSettings(url, { statement_ms });
	return openServer(url, {
		async single() {
			const client = new pg.Client(settings.single);
			client.on('error', () => undefined); // the statement under way says so, too; without a listener it would end the process
			await client.connect();
			return { connection: drizzle({ client }), close: () => client.end() };
		},
		pool() {
			const client = guardPool(new pg.Pool(settings.pool));
			// A connection that rests in the pool and ends.
			client.on('error', (error) => onTrouble(`A connection to PostgreSQL ended: ${error.message}`));
			return { connection: drizzle({ client }), close: () => client.end() };
		},
	});
}
