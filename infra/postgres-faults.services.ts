// PostgreSQL goes away, in the middle of calls too, and comes back; processes that start at once; a process that dies in the middle of a migration.
// A server of the test's own, so that it can be killed; by the driver of PostgreSQL and by that of Neon.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { neonConfig } from '@neondatabase/serverless';
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database } from '#control-plane/database/database.ts';
import { dropDecisionDays, makeDecisionDays } from '#control-plane/database/decision-days.ts';
import { readDecision } from '#control-plane/database/decisions.ts';
import { migrate } from '#control-plane/database/migrate.ts';
import { openDatabase } from '#control-plane/database/open-database.ts';
import { openNeon } from '#control-plane/database/open-neon.ts';
import { openPostgres } from '#control-plane/database/open-postgres.ts';
import { cityDocument, type TestControlPlane, testControlPlane } from '#control-plane/test-control-plane.ts';
import { unavailableIn } from '#control-plane/unavailable-error.ts';
import { controlPlaneInternalRoutes, controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import { type NeonBridge, startNeonBridge } from './services/neon-bridge.ts';
import { type PostgresServer, startPostgres } from './services/postgres.ts';
import { startTcpProxy, type TcpProxy } from './services/tcp-proxy.ts';
import { until } from './until.ts';

const directory = mkdtempSync(join(tmpdir(), 'surgecast-postgres-faults-'));
chmodSync(directory, 0o755); // the server's own user must get in
let server: PostgresServer;
let proxy: TcpProxy;
beforeAll(async () => {
	server = await startPostgres(join(directory, 'postgres'));
	proxy = await startTcpProxy(Number(new URL(server.url).port));
});
afterAll(async () => {
	await proxy?.stop();
	await server?.stop();
	rmSync(directory, { recursive: true, force: true });
});

/** One connection of the test's own, past the proxy. */
async function direct<T>(database: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
	const url = new URL(server.url);
	url.pathname = `/${database}`;
	const client = new pg.Client(url.href);
	client.on('error', () => undefined);
	await client.connect();
	return work(client).finally(() => client.end());
}

let made = 0;
/** A fresh database: its name, and its URL through the proxy. */
async function freshDatabase(): Promise<{ name: string; url: string }> {
	const name = `faults_${++made}`;
	await direct('postgres', (client) => client.query(`create database ${name}`));
	return { name, url: `postgres://postgres@127.0.0.1:${proxy.port}/${name}` };
}

const drivers: { driver: string; open: (url: string, options: { statement_ms?: number }) => Promise<{ database: Database; bridge?: NeonBridge }> }[] = [
	{ driver: 'PostgreSQL', open: async (url, options) => ({ database: await openPostgres(url, { onTrouble: () => undefined, ...options }) }) },
	{
		driver: 'Neon',
		async open(url, options) {
			const bridge = await startNeonBridge(url);
			return { bridge, database: await openNeon(url, { onTrouble: () => undefined, bridge: bridge.door, ...options }) };
		},
	},
];

describe.each(drivers)('a control plane whose database is reached by the driver of $driver', ({ open }) => {
	const STATEMENT_MS = 700;
	let city: TestControlPlane;
	let name: string;
	let bridge: NeonBridge | undefined;
	beforeEach(async () => {
		const fresh = await freshDatabase();
		name = fresh.name;
		const opened = await open(fresh.url, { statement_ms: STATEMENT_MS });
		bridge = opened.bridge;
		city = await testControlPlane({ database: opened.database });
	});
	afterEach(async () => {
		await city?.close();
		await bridge?.stop();
		Object.assign(proxy, { cutAfter: undefined, silent: false });
	});

	const file = new Uint8Array([8, 9, 10, 11]);
	/** A model as the fake edge runs it: every output is 1. */
	async function modelForm(): Promise<{ raw: ArrayBuffer; headers: Record<string, string> }> {
		const manifest = {
			name: 'demand',
			version: 1,
			digest: createHash('sha256').update(file).digest('hex'),
			feature_set: 'v1',
			inputs: ['usual_60min', 'recent_bookings'],
			outputs: { '15': 'expected_15min', '30': 'expected_30min', '60': 'expected_60min' },
			domain: { history_days_min: 7, usual_60min: [0.05, 2000], clip: { recent_bookings: [0, 1500] } },
			output_range: [0, 5000],
			intervals: Object.fromEntries(['15', '30', '60'].map((horizon) => [horizon, Array.from({ length: 9 }, () => 1.3)])),
			figures: {},
			golden: [{ inputs: [10, 4], outputs: [1, 1, 1] }],
			data: { source: 'test', from: '2015-01-01', to: '2015-04-01', rows: 10 },
			code_revision: 'test',
		};
		const form = new FormData();
		form.set('manifest', JSON.stringify(manifest));
		form.set('model', new Blob([file]), 'model.onnx');
		const encoded = new Response(form);
		return { raw: await encoded.arrayBuffer(), headers: { 'content-type': encoded.headers.get('content-type')! } };
	}

	const region = { name: 'East', time_zone: 'Asia/Singapore' };
	/** What the calls of a key send, and the values of their paths. */
	const bodies = (): Record<string, Parameters<TestControlPlane['call']>[3] | Promise<Parameters<TestControlPlane['call']>[3]>> => ({
		'PUT /api/v1/regions/{region_id}': { body: region },
		'PUT /api/v1/regions/{region_id}/freeze': { body: { frozen: true } },
		'POST /api/v1/rule-sets': { body: cityDocument({ name: 'night' }) },
		'POST /api/v1/models': modelForm(),
		'POST /api/v1/models/{name}/{version}/promote': { body: { to: 'shadow' } },
	});
	const values: Record<string, string> = { region_id: 'sg-central', version: '1', a: '1', b: '1', release: '1', name: 'demand', decision_id: 'd-1' };

	/** Every call of the route tables that asks the database, in order. */
	async function everyCall(): Promise<{ key: string; status: number; type: string | null; retryAfter: string | null; detail: string }[]> {
		const told = [];
		for (const { method, path, role } of [...controlPlaneRoutes, ...controlPlaneInternalRoutes]) {
			if (role === null || /^\/api\/v1\/(features|analytics)\//.test(path)) continue; // the edge alone is asked, or ClickHouse
			const key = `${method.toUpperCase()} ${path}`;
			const answered = await city.call(
				role,
				method.toUpperCase(),
				path.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => values[parameter]!),
				await bodies()[key],
			);
			const { status, headers, json } = answered;
			told.push({ key, status, type: headers.get('content-type'), retryAfter: headers.get('retry-after'), detail: json?.detail ?? '' });
		}
		return told;
	}

	/** What people have changed, past all that is tested: the rows and the record of the change. */
	const written = () =>
		direct(name, async (client) => ({
			ruleSets: Number((await client.query('select count(*) from rule_set')).rows[0].count),
			regions: Number((await client.query('select sum(version) from region')).rows[0].sum),
			releases: Number((await client.query('select count(*) from release')).rows[0].count),
			models: Number((await client.query('select count(*) from model')).rows[0].count),
			changes: Number((await client.query('select count(*) from config_change')).rows[0].count),
		}));

	const unavailable = { status: 503, type: 'application/problem+json', retryAfter: '1', detail: 'The database does not answer.' };
	const postRuleSet = (n: number) => city.call('author', 'POST', '/api/v1/rule-sets', { body: cityDocument({ name: `night-${n}` }) });
	const works = () =>
		until('calls work again', async () => {
			const { status } = await city.call('viewer', 'GET', '/api/v1/regions');
			return status === 200;
		});

	test('answers 503 to every call while it is away, and all of them work afterwards without a restart (F20)', async () => {
		const before = await written();
		await server.kill();
		const away = await everyCall();
		const ready = await city.call(null, 'GET', '/readyz');
		const alive = await city.call(null, 'GET', '/healthz');
		await server.start();
		expect(away.length).toBeGreaterThan(20);
		expect(away).toEqual(away.map(({ key }) => ({ key, ...unavailable })));
		expect([ready.status, ready.json.detail, alive.status]).toEqual([503, expect.stringContaining('The database does not answer'), 200]);
		await works();
		expect(await written()).toEqual(before);
		const back = await everyCall();
		const unknownDecision = (key: string) => key.includes('{decision_id}');
		expect(back.filter(({ key, status }) => status >= 300 && !unknownDecision(key))).toEqual([]);
		expect(back.filter(({ key }) => unknownDecision(key)).map(({ status }) => status)).toEqual([404, 404]);
	});

	test('answers nothing but 2xx and 503 to calls under load while it is killed twice; every 2xx is there, and nothing is half-written (F20)', async () => {
		const before = await written();
		const statuses = new Map<number, number>();
		let acknowledged = 0;
		let going = true;
		const clients = Array.from({ length: 12 }, async (_, client) => {
			for (let n = 0; going; n++) {
				const write = client % 2 === 0;
				const { status } = write ? await postRuleSet(client * 1e6 + n) : await city.call('viewer', 'GET', '/api/v1/rule-sets');
				statuses.set(status, (statuses.get(status) ?? 0) + 1);
				if (write && status === 201) acknowledged += 1;
				await new Promise(setImmediate); // a call that fails at once must not keep the others from their sockets
			}
		});
		for (let kills = 0; kills < 2; kills++) {
			const reached = acknowledged + 20;
			await until('writes go through', async () => acknowledged >= reached);
			await server.kill();
			const failed = statuses.get(503) ?? 0;
			await until('calls fail', async () => (statuses.get(503) ?? 0) > failed + 12);
			await server.start();
		}
		const reached = acknowledged + 20;
		await until('writes go through again', async () => acknowledged >= reached);
		going = false;
		await Promise.all(clients);
		expect([...statuses.keys()].sort()).toEqual([200, 201, 503]);
		const after = await written();
		expect(after.ruleSets - before.ruleSets).toBe(after.changes - before.changes);
		expect(after.ruleSets - before.ruleSets).toBeGreaterThanOrEqual(acknowledged);
	});

	test('answers 503 when the answer to a commit is lost: neither a success nor a defect, and the write is whole (F20)', async () => {
		const before = await written();
		proxy.cutAfter = (data) => data.includes('commit');
		const { status, headers, json } = await postRuleSet(1);
		proxy.cutAfter = undefined;
		expect({ status, type: headers.get('content-type'), retryAfter: headers.get('retry-after'), detail: json.detail }).toEqual(unavailable);
		expect(await written()).toEqual({ ...before, ruleSets: before.ruleSets + 1, changes: before.changes + 1 });
		expect((await postRuleSet(2)).status).toBe(201);
	});

	test('ends a call whose server is silent, and its connection: the next call has another one (F20)', async () => {
		const before = await written();
		proxy.silent = true;
		const { status, json } = await postRuleSet(1);
		proxy.silent = false;
		expect([status, json.detail]).toEqual([503, unavailable.detail]);
		expect((await postRuleSet(2)).status).toBe(201);
		expect(await written()).toEqual({ ...before, ruleSets: before.ruleSets + 1, changes: before.changes + 1 });
	});

	test('answers 503 to a call that waits for a lock too long, or is ended by an administrator (F20)', async () => {
		await direct(name, async (client) => {
			await client.query('begin');
			await client.query('select pg_advisory_xact_lock(7305)'); // that of lockConfiguration
			const late = await postRuleSet(1);
			expect([late.status, late.json.detail]).toEqual([503, unavailable.detail]);
			const waiting = postRuleSet(2);
			await until('the call waits', async () => {
				const ended = await client.query(
					`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and not granted
						and database = (select oid from pg_database where datname = current_database())`,
				);
				return (ended.rowCount ?? 0) > 0;
			});
			const terminated = await waiting;
			expect([terminated.status, terminated.json.detail]).toEqual([503, unavailable.detail]);
		});
		expect((await postRuleSet(3)).status).toBe(201);
	});

	test('leaves a defect of ours what it is', async () => {
		const defect: unknown = await city.database.connection.execute(sql`select no_such_column from region`).catch((error: unknown) => error);
		expect(defect).toBeInstanceOf(Error);
		expect(unavailableIn(defect)).toBeUndefined();
	});
});

test('dropDecisionDays() waits for those who read the table no longer than its limit, lets those behind it in, and drops the days the next time', async () => {
	const { name, url } = await freshDatabase();
	const database = await openDatabase(url);
	const at = Date.parse('2015-05-02T12:00:00Z');
	await makeDecisionDays(database.connection, [at, at + 24 * 3_600_000]);
	const later = at + 30 * 24 * 3_600_000;
	await direct(name, async (client) => {
		await client.query('begin');
		await client.query('select count(*) from decision'); // a long look
		const dropping = dropDecisionDays(database.connection, later);
		await until('the drop waits', async () => (await client.query("select 1 from pg_locks where not granted and mode = 'AccessExclusiveLock'")).rowCount === 1);
		expect(await readDecision(database.connection, 'd-1')).toBeUndefined(); // behind the drop, until that gives up
		expect(await dropping).toEqual([]);
		await client.query('commit');
	});
	expect(await dropDecisionDays(database.connection, later)).toEqual(['decision_2015_05_02', 'decision_2015_05_03']);
	await database.close();
});

/** A process of its own that opens the database, tells so, and ends. */
function opener(url: string): { child: ChildProcess; ended: Promise<{ code: number | null; told: string }> } {
	const program = `
		import { openDatabase } from './control-plane/database/open-database.ts';
		const database = await openDatabase(${JSON.stringify(url)});
		console.log('opened');
		await database.close();`;
	const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
		cwd: join(import.meta.dirname, '..'),
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	let told = '';
	const hear = (chunk: Buffer) => {
		told += chunk;
	};
	child.stdout?.on('data', hear);
	child.stderr?.on('data', hear);
	return { child, ended: new Promise((done) => child.once('close', (code) => done({ code, told }))) };
}

const migrations = readdirSync(join(import.meta.dirname, '../control-plane/database/migrations')).filter((file) => file.endsWith('.sql')).length;
const book = (name: string) =>
	direct(name, async (client) => Number((await client.query('select count(*) from drizzle.__drizzle_migrations')).rows[0].count)).catch(() => 0);

describe('migrations on a server', () => {
	test('are done by one of several processes that start at once on an empty database', async () => {
		const { name, url } = await freshDatabase();
		const told = await Promise.all(Array.from({ length: 5 }, () => opener(url).ended));
		expect(told).toEqual(told.map(() => ({ code: 0, told: 'opened\n' })));
		expect(await book(name)).toBe(migrations);
	});

	test('leave nothing of a process that is killed in the middle of one; the next start completes (F40)', async () => {
		const { name, url } = await freshDatabase();
		// A database of the version before the days, with rows.
		const older = mkdtempSync(join(tmpdir(), 'surgecast-migrations-'));
		cpSync(join(import.meta.dirname, '../control-plane/database/migrations'), older, { recursive: true });
		const journal = JSON.parse(readFileSync(join(older, 'meta/_journal.json'), 'utf8')) as { entries: { tag: string }[] };
		journal.entries.length = journal.entries.findIndex(({ tag }) => tag === '0003_decision_days');
		writeFileSync(join(older, 'meta/_journal.json'), JSON.stringify(journal));
		await direct(name, async (client) => {
			await migrate(drizzle({ client }), { folder: older });
			await client.query(`insert into decision
				select 'd-' || n, 'r', 1430000000000 + n * 36000000::bigint, 'priced', 1, 1, null, 's', 'i', n, '{}', '{}' from generate_series(1, 500) as n`);
		});
		rmSync(older, { recursive: true });
		await direct(name, async (client) => {
			// Holds the migration where its tables are made and its rows moved, and only its line in the book is missing.
			await client.query('begin');
			await client.query('lock table drizzle.__drizzle_migrations in share mode');
			const waits = (what: string, mode: string) =>
				until(what, async () => (await client.query('select 1 from pg_locks where not granted and mode = $1', [mode])).rowCount === 1);
			const first = opener(url);
			await waits('the migration waits in the middle', 'RowExclusiveLock');
			const second = opener(url);
			await waits('the second process waits for the first', 'ExclusiveLock');
			first.child.kill('SIGKILL');
			expect((await first.ended).code).toBeNull();
			expect(await book(name)).toBe(3);
			await client.query('commit');
			expect(await second.ended).toEqual({ code: 0, told: 'opened\n' });
		});
		expect(await book(name)).toBe(migrations);
		expect(await direct(name, async (client) => Number((await client.query('select count(distinct decision_id) from decision')).rows[0].count))).toBe(500);
	});
});

test("openDatabase() goes by Neon's driver where the host is Neon's, and by that of PostgreSQL elsewhere", async () => {
	const { name, url } = await freshDatabase();
	const bridge = await startNeonBridge(url);
	Object.assign(neonConfig, { wsProxy: () => `${bridge.door}/v1`, useSecureWebSocket: false, pipelineConnect: false, pipelineTLS: false });
	const database = await openDatabase(`postgres://postgres:x@ep-quiet-1.eu-central-1.aws.neon.tech/${name}`);
	const { rows } = (await database.connection.execute(sql`select current_database() as name`)) as { rows: unknown[] };
	await database.close();
	await bridge.stop();
	expect(rows).toEqual([{ name }]);
	await expect(openDatabase('postgres://postgres@neon.tech.invalid/x')).rejects.toThrow('Cannot bring the database at neon.tech.invalid/x');
});
