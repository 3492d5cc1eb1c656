import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from './database/database.ts';
import { openDatabase } from './database/open-database.ts';
import { openPglite } from './database/open-pglite.ts';
import { listRegions } from './database/regions.ts';
import { listReleases } from './database/releases.ts';
import { listRuleSets } from './database/rule-sets.ts';
import { type Keys, openKeys } from './keys.ts';
import { seed } from './seed.ts';
import { cityDocument, sampleRegions } from './test-control-plane.ts';
import { databaseTemplate, testDatabase } from './test-database.ts';

let dir: string;
let keys: Keys;
let database: Database;
beforeAll(async () => {
	dir = mkdtempSync(join(tmpdir(), 'surgecast-seed-'));
	keys = openKeys(dir);
	database = await testDatabase();
}, 60_000);
afterAll(async () => {
	await database.close();
	rmSync(dir, { recursive: true, force: true });
});
const now = Date.parse('2026-06-01T00:00:00Z');
const all = { before: undefined, limit: 500 };

describe('seed()', () => {
	it('refuses a sample that is not good, and leaves nothing', async () => {
		const fill = (more: object) => seed(database, { regions: sampleRegions, rule_sets: [cityDocument()], keys, now, ...more });
		await expect(fill({ rule_sets: [cityDocument({ currency: 'dollars' })] })).rejects.toThrow(/rule set 0 is not good: \/currency/);
		await expect(fill({ regions: [{ ...sampleRegions[0]!, time_zone: 'Mars' }] })).rejects.toThrow(/"sg-central" is not good: \/time_zone/);
		await expect(fill({ regions: [{ ...sampleRegions[0]!, rule_set: 'none' }] })).rejects.toThrow(/\/rule_set/);
		expect((await listReleases(database.connection, all)).items).toEqual([]);
		expect((await listRegions(database.connection, all)).items).toEqual([]);
	});

	it('fills an empty database once, with release 1', async () => {
		const sample = { regions: sampleRegions, rule_sets: [cityDocument(), cityDocument({ name: 'nyc' })], keys, now };
		expect(await Promise.all([seed(database, sample), seed(database, sample)])).toEqual([true, false]);
		expect(await seed(database, sample)).toBe(false);
		const [release] = (await listReleases(database.connection, all)).items;
		expect(release).toMatchObject({ release: 1, rule_sets: { city: { version: 1 }, nyc: { version: 2 } }, created_by: 'surgecast' });
		expect((await listRegions(database.connection, all)).items.map((one) => one.region_id)).toEqual(['sg-airport', 'sg-central']);
		expect((await listRegions(database.connection, all)).items[0]?.holiday_dates).toContain('2026-08-09');
	});

	it('is all or nothing through kill -9 during the first start', async () => {
		const at = join(dir, 'killed');
		await (await openPglite(at, { template: await databaseTemplate() })).close();
		const program = `
			import { openDatabase } from './control-plane/database/open-database.ts';
			import { openKeys } from './control-plane/keys.ts';
			import { seed } from './control-plane/seed.ts';
			import { cityDocument, sampleRegions } from './control-plane/test-control-plane.ts';
			console.log('opening');
			const database = await openDatabase(${JSON.stringify(at)});
			console.log('open');
			await seed(database, { regions: sampleRegions, rule_sets: [cityDocument()], keys: openKeys(${JSON.stringify(dir)}), now: Date.now() });
			console.log('seeded');
			setInterval(() => {}, 1000);`;
		// Killed soon after the tables are there: within the transaction, before or after it.
		for (const ms of [0, 40]) {
			const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
			const ended = new Promise((resolve) => child.on('exit', resolve));
			child.stdout.on('data', (chunk: Buffer) => {
				if (chunk.toString().includes('open\n')) setTimeout(() => child.kill('SIGKILL'), ms);
			});
			await ended;
		}
		const survived = await openDatabase(at);
		const there = (await listReleases(survived.connection, all)).items.length;
		expect(await seed(survived, { regions: sampleRegions, rule_sets: [cityDocument()], keys, now })).toBe(there === 0);
		expect((await listReleases(survived.connection, all)).items).toHaveLength(1);
		expect((await listRegions(survived.connection, all)).items).toHaveLength(2);
		expect((await listRuleSets(survived.connection, all)).items).toHaveLength(1);
		await survived.close();
	}, 60_000);
});
