import { fileURLToPath } from 'node:url';
import { sql } from 'drizzle-orm';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import * as z from 'zod';
import type { Connection } from './database.ts';

/** Held while one process brings the tables to this version's form; the others wait for it. Another number than that of lockConfiguration. */
const MIGRATION_LOCK = 7304;
const FOLDER = fileURLToPath(new URL('./migrations', import.meta.url));
const done = z.object({ rows: z.tuple([z.object({ last: z.coerce.number() })]) });

/**
 * Brings the tables to this version's form: the migrations that the database has not had, all of them in one transaction that holds the lock, so that one
 * process does it, whoever dies in the middle leaves nothing, and no pooler between us and the server tears the lock from what it is for. The book of what was
 * done is drizzle's own. Takes what it takes: the connection must have no timeout.
 */
export async function migrate(connection: Connection, { folder = FOLDER }: { folder?: string } = {}): Promise<void> {
	const migrations = readMigrationFiles({ migrationsFolder: folder });
	await connection.transaction(async (transaction) => {
		await transaction.execute(sql`set local statement_timeout = 0`);
		await transaction.execute(sql`select pg_advisory_xact_lock(${MIGRATION_LOCK}::bigint)`);
		await transaction.execute(sql`create schema if not exists drizzle`);
		await transaction.execute(sql`create table if not exists drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`);
		const book = await transaction.execute(sql`select coalesce(max(created_at), 0) as last from drizzle.__drizzle_migrations`);
		const { last } = done.parse(book).rows[0];
		for (const { sql: statements, hash, folderMillis } of migrations) {
			if (folderMillis <= last) continue;
			for (const statement of statements) await transaction.execute(sql.raw(statement));
			await transaction.execute(sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${hash}, ${folderMillis}::bigint)`);
		}
	});
}
