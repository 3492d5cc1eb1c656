import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { drizzle } from 'drizzle-orm/pglite';
import type { Database } from './database.ts';
import { migrate } from './migrate.ts';

/** In memory, for tests. */
export const IN_MEMORY = 'memory://';

/**
 * Opens the embedded Postgres of a directory (made when missing) and brings its tables to this version's form; a kill between the two leaves either.
 * A fresh directory takes 3 s, one that is there 0.6.
 * The caller guarantees that no second process has the directory open: PGlite does not notice, and the files would be ruined.
 * @param options.template a data directory to begin with, as PGlite dumps it: tests save the 3 s.
 */
export async function openPglite(directory: string, { template }: { template?: Blob } = {}): Promise<Database> {
	const inside = template ? { loadDataDir: template } : {};
	if (directory !== IN_MEMORY && !existsSync(join(directory, 'PG_VERSION'))) {
		// Made beside its place and moved there whole: a kill half-way leaves nothing that the next start could take for a database.
		const fresh = `${directory}.new`;
		rmSync(fresh, { recursive: true, force: true });
		mkdirSync(fresh, { recursive: true, mode: 0o700 });
		await (await PGlite.create(fresh, inside)).close();
		try {
			renameSync(fresh, directory);
		} catch (cause) {
			throw new Error(`Cannot make a database in "${directory}": wanted is a database of this product, an empty directory or none`, { cause });
		}
	}
	const client = await PGlite.create(directory, directory === IN_MEMORY ? inside : {});
	const connection = drizzle({ client });
	try {
		await migrate(connection);
	} catch (error) {
		await client.close();
		throw new Error(`Cannot bring the database in "${directory}" to this version's form`, { cause: error });
	}
	return {
		connection,
		async close() {
			if (!client.closed) await client.close();
		},
	};
}
