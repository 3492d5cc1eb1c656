import { limits } from '#schemas/limits.ts';
import type { Connection, Database } from './database.ts';
import { migrate } from './migrate.ts';

export interface ServerOptions {
	/** Connections that ended by themselves. */
	onTrouble: (text: string) => void;
	/** What a statement may take, milliseconds. */
	statement_ms?: number | undefined;
}

/** A driver of a PostgreSQL server, for a URL. */
export interface Driver {
	/** One connection without timeouts, for the migrations. */
	single(): Promise<{ connection: Connection; close(): Promise<void> }>;
	/** The connections for everything else. */
	pool(): { connection: Connection; close(): Promise<void> };
}

/** The settings that node-postgres and Neon's driver share. */
export function serverSettings(url: string, { statement_ms = limits.database_statement_ms }: { statement_ms?: number | undefined }) {
	const single = {
		connectionString: url,
		connectionTimeoutMillis: limits.database_connect_ms,
		keepAlive: true,
		application_name: 'surgecast',
	};
	// A pooler hands connections out by transaction and takes no settings of a session.
	const pooler = /^[^.]*-pooler\./.test(new URL(url).hostname);
	const pool = {
		...single,
		max: limits.database_connections_max,
		idleTimeoutMillis: limits.database_idle_ms,
		...(pooler ? {} : { statement_timeout: statement_ms, idle_in_transaction_session_timeout: limits.database_idle_transaction_ms }),
		query_timeout: statement_ms + limits.database_connect_ms, // a server that is gone answers no timeout of its own
	};
	return { single, pool };
}

/**
 * Opens a database of a server and brings its tables to this version's form, one process at a time. Connections come and go as the server does: a query while
 * it is away throws UnavailableError, the next one after it is back works.
 */
export async function openServer(url: string, driver: Driver): Promise<Database> {
	try {
		const { connection, close } = await driver.single();
		await migrate(connection).finally(close);
	} catch (cause) {
		const { host, pathname } = new URL(url);
		throw new Error(`Cannot bring the database at ${host}${pathname} to this version's form: ${innermost(cause)}`, { cause });
	}
	const { connection, close } = driver.pool();
	let ended: Promise<void> | undefined;
	return {
		connection,
		close() {
			ended ??= close();
			return ended;
		},
	};
}

/** The driver's own words; drizzle's, around them, are the whole statement. A WebSocket fails with an event. */
function innermost(error: unknown): string {
	let inner = error;
	while (inner instanceof Error && inner.cause !== undefined) inner = inner.cause;
	const { message, code } = (inner ?? {}) as { message?: string; code?: string };
	return message || code || 'the connection failed'; // of a name with several addresses there is a code only
}
