// For tests: a database in memory, with its tables.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PGlite } from '@electric-sql/pglite';
import { type Database, IN_MEMORY, openDatabase } from './database/open-database.ts';

/** An empty data directory of this PGlite, made once a machine: the first start takes seconds, a copy half of one. */
export async function databaseTemplate(): Promise<Blob> {
	const program = readFileSync(fileURLToPath(import.meta.resolve('@electric-sql/pglite')));
	const file = join(tmpdir(), `surgecast-pglite-${createHash('sha256').update(program).digest('hex').slice(0, 16)}.tar`);
	if (!existsSync(file)) {
		const fresh = await PGlite.create(IN_MEMORY);
		const dump = await fresh.dumpDataDir('none');
		await fresh.close();
		const mine = `${file}.${process.pid}`;
		writeFileSync(mine, new Uint8Array(await dump.arrayBuffer()));
		renameSync(mine, file); // whole or not at all, whichever process is first
	}
	return new Blob([readFileSync(file)]);
}

export async function testDatabase(): Promise<Database> {
	return openDatabase(IN_MEMORY, { template: await databaseTemplate() });
}
