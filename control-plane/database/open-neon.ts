import { Client, neonConfig, Pool } from '@neondatabase/serverless';
import { drizzle } from 'drizzle-orm/neon-serverless';
import type { Database } from './database.ts';
import { guardPool } from './guard-pool.ts';
import { openServer, type ServerOptions, serverSettings } from './open-server.ts';

/**
 * Opens a database of Neon by its URL, through WebSockets. See openServer.
 * @param options.bridge `host:port` of a door without TLS that stands in for Neon's own in front of a plain PostgreSQL: for tests.
 */
export async function openNeon(url: string, { onTrouble, statement_ms, bridge }: ServerOptions & { bridge?: string | undefined }): Promise<Database> {
	if (bridge !== undefined) {
		neonConfig.wsProxy = () => `${bridge}/v1`;
		neonConfig.useSecureWebSocket = false;
		neonConfig.pipelineConnect = false;
		neonConfig.pipelineTLS = false;
	}
	const settings = serverSettings(url, { statement_ms });
	return openServer(url, {
		async single() {
			const client = new Client(settings.single);
			client.on('error', () => undefined); // the statement under way says so, too; without a listener it would end the process
			await client.connect();
			return { connection: drizzle({ client }), close: () => client.end() };
		},
		pool() {
			const client = guardPool(new Pool(settings.pool));
			// A connection that rests in the pool and ends; what a WebSocket gives is no Error.
			client.on('error', (error: { message?: string }) => onTrouble(`A connection to Neon ended: ${error.message || 'without a reason'}`));
			return { connection: drizzle({ client }), close: () => client.end() };
		},
	});
}
