// For tests: a database in memory, with its tables.
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { type Database, openDatabase } from './database/open-database.ts';
import { IN_MEMORY, openPglite } from './database/open-pglite.ts';

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

/** An empty database of this version's form: embedded, or on the server that TEST_DATABASE_URL names, so that the same suites run on both. */
export async function testDatabase(): Promise<Database> {
	const server = process.env['TEST_DATABASE_URL'];
	if (!server) return openPglite(IN_MEMORY, { template: await databaseTemplate() });
	const name = `test_${randomUUID().replaceAll('-', '')}`;
	const admin = async (statement: string): Promise<void> => {
		const client = new pg.Client(server);
		await client.connect();
		await client.query(statement).finally(() => client.end());
	};
	await admin(`create database ${name}`);
	const url = new URL(server);
	url.pathname = `/${name}`;
	const opened = await openDatabase(url.href);
	return {
		connection: opened.connection,
		async close() {
			await opened.close();
			await admin(`drop database if exists ${name} with (force)`);
		},
	};
}
