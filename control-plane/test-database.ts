// For tests: a database in memory, with its tables.
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PGlite } from '@electric-sql/pglite';
import { drizzle } from 'drizzle-orm/node-postgres';
import { drizzle as drizzleEmbedded } from 'drizzle-orm/pglite';
import pg from 'pg';
import type { Database } from './database/database.ts';
import { openDatabase } from './database/open-database.ts';
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

/** An empty database, not yet of any form, that can be opened more than once, one after the other where it is embedded. */
export interface TestPlace {
	open(): Promise<Database>;
	/** Whatever is there; without bringing it to any form. */
	openAsItIs(): Promise<Database>;
	remove(): Promise<void>;
}

/** A place on the server that TEST_DATABASE_URL names; by Neon's driver and through a bridge where TEST_DATABASE_DRIVER says so (infra/services/neon.setup.ts). */
async function serverPlace(server: string): Promise<TestPlace> {
	const name = `test_${randomUUID().replaceAll('-', '')}`;
	const admin = async (statement: string): Promise<void> => {
		const client = new pg.Client(server);
		await client.connect();
		await client.query(statement).finally(() => client.end());
	};
	await admin(`create database ${name}`);
	const url = new URL(server);
	url.pathname = `/${name}`;
	const bridge = process.env['TEST_NEON_BRIDGE'];
	return {
		open: async () => (NEON ? (await import('./database/open-neon.ts')).openNeon(url.href, { onTrouble: () => undefined, bridge }) : openDatabase(url.href)),
		async openAsItIs() {
			const client = new pg.Client(url.href);
			await client.connect();
			return { connection: drizzle({ client }), close: () => client.end() };
		},
		remove: () => admin(`drop database if exists ${name} with (force)`),
	};
}

async function embeddedPlace(): Promise<TestPlace> {
	const outside = mkdtempSync(join(tmpdir(), 'surgecast-database-'));
	const directory = join(outside, 'database');
	const template = await databaseTemplate();
	return {
		open: () => openPglite(directory, { template }),
		async openAsItIs() {
			const client = await PGlite.create(directory, existsSync(directory) ? {} : { loadDataDir: template });
			return { connection: drizzleEmbedded({ client }), close: () => client.close() };
		},
		remove: async () => rmSync(outside, { recursive: true, force: true }),
	};
}

const NEON = process.env['TEST_DATABASE_DRIVER'] === 'neon';
const SERVER = process.env[NEON ? 'TEST_NEON_URL' : 'TEST_DATABASE_URL'];

/** See TestPlace: embedded, or on a server, so that the same suites run on all. */
export const testPlace = (): Promise<TestPlace> => (SERVER ? serverPlace(SERVER) : embeddedPlace());

/** An empty database of this version's form: embedded, in memory, or on a server, as for testPlace. */
export async function testDatabase(): Promise<Database> {
	if (!SERVER) return openPglite(IN_MEMORY, { template: await databaseTemplate() });
	const place = await serverPlace(SERVER);
	const opened = await place.open();
	return {
		connection: opened.connection,
		async close() {
			await opened.close();
			await place.remove();
		},
	};
}
