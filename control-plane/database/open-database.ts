import type { Database } from './database.ts';

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
