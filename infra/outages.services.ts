// The whole product under load while PostgreSQL, ClickHouse and Redis go away one after another and come back: every price is served, and afterwards all is there.
// Servers of the test's own, but for Kafka. OUTAGE_SECONDS makes the outages longer: the promises of docs/faults.md are of 60 seconds and of ten minutes.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { random } from './city/random.ts';
import { historyIds } from './compare/history-ids.ts';
import { account } from './drills/account.ts';
import { findConfiguration, findDecisions } from './drills/find.ts';
import { emptyLedger } from './drills/ledger.ts';
import { openLoad } from './drills/load.ts';
import { type Instance, startInstance } from './instance.ts';
import { type ClickHouseServer, startClickHouse } from './services/clickhouse.ts';
import { dropTopics, freshDatabase } from './services/fresh.ts';
import { type PostgresServer, startPostgres } from './services/postgres.ts';
import { type RedisServer, startRedis } from './services/redis.ts';
import { startUpstashBridge, type UpstashBridge } from './services/upstash-bridge.ts';
import { until } from './until.ts';

const OUTAGE_MS = Number(process.env['OUTAGE_SECONDS'] ?? 10) * 1000;
const WAIT_MS = 120_000;
const TEST_MS = 2 * OUTAGE_MS + 400_000;

describe('the product on servers that go away', () => {
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-outages-'));
	chmodSync(directory, 0o755);
	const ledger = emptyLedger();
	const load = openLoad(ledger, random(20261126));
	let postgres: PostgresServer;
	let clickhouse: ClickHouseServer;
	let redis: RedisServer;
	let bridge: UpstashBridge;
	let database: Awaited<ReturnType<typeof freshDatabase>>;
	let product: Instance;
	beforeAll(async () => {
		[postgres, clickhouse, redis] = await Promise.all([
			startPostgres(join(directory, 'postgres')),
			startClickHouse(join(directory, 'clickhouse')),
			startRedis(join(directory, 'redis')),
		]);
		bridge = await startUpstashBridge({ redis_url: redis.url });
		database = await freshDatabase(postgres.url);
		product = await startInstance({
			directory: join(directory, 'product'),
			env: {
				LOG_URL: inject('kafka'),
				DATABASE_URL: database.url,
				CLICKHOUSE_URL: clickhouse.url,
				UPSTASH_REDIS_REST_URL: bridge.url,
				UPSTASH_REDIS_REST_TOKEN: bridge.token,
			},
		});
		load.start(product);
	}, 180_000);
	afterAll(async () => {
		if (product?.child.exitCode === null) await product.kill();
		await load.end();
		await bridge?.close();
		for (const server of [postgres, clickhouse, redis]) await server?.stop();
		await dropTopics(inject('kafka'));
		rmSync(directory, { recursive: true, force: true });
	}, 60_000);

	const behind = async (): Promise<string[]> => {
		const doors = await Promise.all((['control', 'ingest'] as const).map((door) => product.call(door, 'GET', '/readyz')));
		return doors.flatMap(({ json }) => ((json?.behind ?? []) as { what: string }[]).map(({ what }) => what));
	};

	/** Asks for prices one after another for the outage's time, while `during` looks at the rest; every one must be served. */
	async function everyPrice(during: () => Promise<void>): Promise<number> {
		const regions = ['sg-central', 'nyc-4', 'nyc-132', 'nyc-161'];
		const refused: string[] = [];
		let served = 0;
		const end = Date.now() + OUTAGE_MS;
		let looking = true;
		const looked = during().finally(() => {
			looking = false;
		});
		while (Date.now() < end || looking) {
			const body = { region_id: regions[served % regions.length], product_type: 'standard_ride' };
			const answer = await product.call('edge', 'POST', '/api/v1/price', { role: 'client', body });
			served += 1;
			if (answer.status !== 200) refused.push(`${answer.status} ${answer.text}`);
			else ledger.decisions.push({ answer: answer.json, at: Date.parse(answer.json.decided_at) });
		}
		await looked;
		expect(refused).toEqual([]);
		return served;
	}

	test(
		"without PostgreSQL every price is served, operators' writes answer 503 and events are taken; it recovers by itself (F20)",
		async () => {
			await postgres.kill();
			const served = await everyPrice(async () => {
				const put = () => product.call('control', 'PUT', '/api/v1/regions/outage', { role: 'operator', body: { name: 'x', time_zone: 'Asia/Singapore' } });
				for (let n = 0; n < 3; n++) expect(await put()).toMatchObject({ status: 503, json: { code: 'unavailable' } });
				const event = { event_type: 'booking', region_id: 'sg-central' };
				expect(await product.call('ingest', 'POST', '/api/v1/events', { role: 'producer', body: event })).toMatchObject({ status: 202 });
				await until('what lags is said', async () => (await behind()).includes('the store of decisions'), { within: WAIT_MS });
			});
			expect(served).toBeGreaterThan(50);
			await postgres.start();
			await until('all in step again', async () => (await behind()).length === 0, { within: WAIT_MS, every: 200 });
		},
		TEST_MS,
	);

	test(
		'without ClickHouse all goes on, and its backlog drains (F22)',
		async () => {
			await clickhouse.kill();
			await everyPrice(async () => {
				await until('what lags is said', async () => (await behind()).includes('the history in ClickHouse'), { within: WAIT_MS });
				const path = '/api/v1/analytics/multipliers?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z';
				expect(await product.call('control', 'GET', path, { role: 'analyst' })).toMatchObject({ status: 503, json: { code: 'unavailable' } });
			});
			await clickhouse.start();
			await until('all in step again', async () => (await behind()).length === 0, { within: WAIT_MS + OUTAGE_MS, every: 200 });
		},
		TEST_MS,
	);

	test(
		'with a Redis that hangs, and without one, all goes on (F21)',
		async () => {
			const post = async () => {
				const event = { event_id: `redis-${crypto.randomUUID()}`, event_type: 'booking', region_id: 'sg-central' };
				expect(await product.call('ingest', 'POST', '/api/v1/events', { role: 'producer', body: event })).toMatchObject({ status: 202 });
			};
			redis.freeze();
			await everyPrice(async () => {
				await post();
				await until('what lags is said', async () => (await behind()).includes('Redis'), { within: WAIT_MS });
				await post();
			});
			redis.thaw();
			await redis.kill();
			await everyPrice(post);
			await redis.start();
			await until('all in step again', async () => (await behind()).length === 0, { within: WAIT_MS, every: 200 });
		},
		TEST_MS,
	);

	test(
		'afterwards every answered decision is in PostgreSQL and in ClickHouse exactly once, and nothing acknowledged is missing',
		async () => {
			await load.end();
			await load.settle(product);
			const stored = async () => {
				const { text } = await product.call('ingest', 'GET', '/metrics');
				return Number(/^surgecast_decisions_stored (\d+)/m.exec(text)?.[1]) >= ledger.decisions.length;
			};
			await until('every decision is stored', stored, { within: WAIT_MS, every: 200 });
			// A lag of seconds is nothing that readyz tells, and a stop leaves the rest in the log.
			const place = { url: clickhouse.url, username: 'default', password: '', database: 'default' };
			const drained = async () => new Set(await historyIds(place)).size >= ledger.decisions.length;
			await until('the backlog is in ClickHouse', drained, { within: WAIT_MS + OUTAGE_MS, every: 1000 });
			const configuration = await findConfiguration(product, ledger);
			expect(await product.stop()).toBe(0);
			const decisions = await findDecisions(database.url);
			const events = new Map<string, never>(); // events and finals are looked at by the dance
			const { lost, doubled, compared } = account({ ...ledger, events }, { ...configuration, logged: new Set(), counted: new Map(), decisions });
			expect({ lost, doubled, unexpected: ledger.unexpected }).toEqual({ lost: [], doubled: [], unexpected: [] });
			expect(compared.decisions).toBeGreaterThan(500);
			const history = await historyIds(place);
			expect(new Set(history).size).toBe(history.length);
			expect(new Set(history)).toEqual(new Set(decisions.keys()));
		},
		TEST_MS,
	);
});
