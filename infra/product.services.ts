// The whole product on real servers, chosen by URL alone: the same finals and prices as on the embedded drivers, and nothing lost to kill -9.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { parseConfiguration } from '#control-plane/configuration.ts';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { featureIndex } from '#schemas/feature.ts';
import type { EventLog } from '#stream/log/event-log.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import { compareRuns } from './compare/compare-runs.ts';
import { findFinals } from './find-finals.ts';
import { type Instance, startInstance } from './instance.ts';
import { dropTopics, freshDatabase, freshHistory, onServer } from './services/fresh.ts';
import { S3_KEYS } from './services/s3.ts';
import { startUpstashBridge } from './services/upstash-bridge.ts';
import { until } from './until.ts';

const PARTITIONS = 4;
const place = kafkaPlace(inject('kafka'));
let directory: string;
let database: Awaited<ReturnType<typeof freshDatabase>>;
let env: Record<string, string>;
const started: Instance[] = [];

beforeEach(async () => {
	directory = mkdtempSync(join(tmpdir(), 'surgecast-services-'));
	database = await freshDatabase(inject('postgres'));
	env = { PARTITIONS: String(PARTITIONS), LOG_URL: inject('kafka'), DATABASE_URL: database.url };
});
afterEach(async () => {
	for (const product of started.splice(0)) if (product.child.exitCode === null) await product.kill();
	await dropTopics(inject('kafka'));
	await database.drop();
	rmSync(directory, { recursive: true, force: true });
});

async function start(options: Parameters<typeof startInstance>[0]): Promise<Instance> {
	const product = await startInstance(options);
	started.push(product);
	return product;
}

async function onKafka<T>(work: (log: EventLog) => Promise<T>): Promise<T> {
	const log = await openKafkaLog(place, { partitions: PARTITIONS, client_id: 'surgecast-test', onTrouble: console.warn });
	return work(log).finally(() => log.close());
}
const storedDecisions = () =>
	onServer(database.url, async (client) =>
		(await client.query<{ decision_id: string }>('select decision_id from decision')).rows.map((row) => row.decision_id),
	);

test('a replay with every URL set to a real server gives the same finals, field by field, and the same prices as on the embedded drivers; every decision is in PostgreSQL and ClickHouse exactly once', async () => {
	const file = join(directory, 'made_tripdata_2023-01.csv');
	const trip = (i: number) =>
		`2023-01-05 08:${String(Math.floor(i / 8)).padStart(2, '0')}:${String((i * 13) % 60).padStart(2, '0')},${[74, 75, 41, 166][i % 4]},1.5`;
	writeFileSync(file, `lpep_pickup_datetime,PULocationID,trip_distance\n${Array.from({ length: 320 }, (_, i) => trip(i)).join('\n')}\n`);
	const bridge = await startUpstashBridge({ redis_url: inject('redis') });
	const history = await freshHistory(inject('clickhouse'));
	try {
		const embedded = await start({
			args: ['--replay', file],
			directory: join(directory, 'embedded'),
			env: { PARTITIONS: String(PARTITIONS) },
			ready: false,
		});
		expect(await embedded.exited, embedded.output()).toBe(0);
		const all = {
			...env,
			CLICKHOUSE_URL: history.url,
			UPSTASH_REDIS_REST_URL: bridge.url,
			UPSTASH_REDIS_REST_TOKEN: bridge.token,
			OFFLINE_STORE_URL: inject('s3'),
			AWS_ACCESS_KEY_ID: S3_KEYS.accessKeyId,
			AWS_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey,
		};
		const real = await start({ args: ['--replay', file], directory: join(directory, 'real'), env: all, ready: false });
		expect(await real.exited, real.output()).toBe(0);
		const { finals, decisions, differences } = await compareRuns(parseConfiguration(all), join(directory, 'embedded'));
		expect(differences).toEqual([]);
		expect(finals).toBeGreaterThan(100);
		expect(decisions).toBe(320);
	} finally {
		await history.drop();
		await bridge.close();
	}
}, 300_000);

test('counts every event that was answered 2xx once through kill -9, and stores every decision once (F1, F2, F5, F38)', async () => {
	const LATENESS_SECONDS = '5';
	const begin = () => start({ directory: join(directory, 'real'), env: { ...env, LATENESS_SECONDS } });
	const regions = ['sg-central', 'nyc-4', 'nyc-132', 'nyc-161'];
	const event = (i: number) => ({ event_id: `e-${i}`, event_type: 'booking', region_id: regions[i % regions.length] });
	const sent = new Map<string, boolean>();
	const decisions = new Set<string>();
	let product = await begin();
	for (let round = 0; round < 3; round++) {
		const load = (async () => {
			for (let batch = 0; batch < 40; batch++) {
				const items = Array.from({ length: 10 }, (_, i) => event(round * 400 + batch * 10 + i));
				for (const { event_id } of items) sent.set(event_id, sent.get(event_id) ?? false);
				const answer = await product.call('ingest', 'POST', '/api/v1/events', { role: 'producer', body: items }).catch(() => undefined);
				if (answer?.status === 202) for (const { event_id } of items) sent.set(event_id, true);
				const body = { region_id: regions[batch % regions.length], product_type: 'standard_ride' };
				const price = await product.call('edge', 'POST', '/api/v1/price', { role: 'client', body }).catch(() => undefined);
				if (price?.status === 200) decisions.add(price.json.decision_id);
			}
		})();
		await new Promise((done) => setTimeout(done, 300 + round * 300));
		await product.kill();
		await load;
		product = await begin();
		// Whoever has no answer sends again, with the same ids; and some of those that had one.
		const again = [...sent].filter(([, taken], i) => !taken || i % 7 === 0).map(([id]) => event(Number(id.slice(2))));
		for (let at = 0; at < again.length; at += 100) {
			const resent = again.slice(at, at + 100);
			const taken = () => product.call('ingest', 'POST', '/api/v1/events', { role: 'producer', body: resent });
			await until('the resend', async () => (await taken()).status === 202, { within: 60_000 });
			for (const { event_id } of resent) sent.set(event_id, true);
		}
	}
	expect([...sent.values()].every(Boolean)).toBe(true);
	const minute = Math.ceil(Date.now() / 60_000) * 60_000;
	const final = async () => {
		const { text } = await product.call('ingest', 'GET', '/metrics');
		return Number(/^surgecast_features_final_minute_seconds (\d+)/m.exec(text)?.[1]) * 1000 >= minute;
	};
	await until('the finals', final, { within: 150_000, every: 500 });
	expect(await product.stop()).toBe(0);
	const counted = [...(await onKafka(findFinals)).values()].reduce((sum, { values }) => sum + (values[featureIndex.booking_count_1min] ?? 0), 0);
	expect(counted).toBe(sent.size);
	const stored = await storedDecisions();
	expect(new Set(stored).size).toBe(stored.length);
	// What was not yet handed to an Outbox dies with its isolate: a batch a kill, of 50 ms.
	expect([...decisions].filter((id) => !stored.includes(id)).length).toBeLessThanOrEqual(3 * 10);
	expect(stored.length).toBeGreaterThan(10);
}, 400_000);
