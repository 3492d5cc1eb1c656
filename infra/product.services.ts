// The whole product on a real Kafka and a real PostgreSQL, chosen by URL alone: the same finals as the embedded drivers, and nothing lost to kill -9.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { featureIndex } from '#schemas/feature.ts';
import { topics } from '#schemas/topic.ts';
import { decode } from '#stream/avro/codec.ts';
import { openEmbeddedLog } from '#stream/log/embedded-log.ts';
import type { EventLog } from '#stream/log/event-log.ts';
import { kafkaClient } from '#stream/log/kafka-client.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import { type Instance, startInstance, until } from './instance.ts';

const PARTITIONS = 4;
const READ = { records_max: 10_000, bytes_max: 16 * 1024 * 1024 };
const place = kafkaPlace(inject('kafka'));
let directory: string;
let database: string;
let env: Record<string, string>;
const started: Instance[] = [];

const onServer = async <T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> => {
	const client = new pg.Client(url);
	await client.connect();
	return work(client).finally(() => client.end());
};
beforeEach(async () => {
	directory = mkdtempSync(join(tmpdir(), 'surgecast-services-'));
	const name = `product_${randomUUID().replaceAll('-', '')}`;
	await onServer(inject('postgres'), (client) => client.query(`create database ${name}`));
	const url = new URL(inject('postgres'));
	url.pathname = `/${name}`;
	database = url.href;
	env = { PARTITIONS: String(PARTITIONS), LOG_URL: inject('kafka'), DATABASE_URL: database };
});
afterEach(async () => {
	for (const product of started.splice(0)) if (product.child.exitCode === null) await product.kill();
	const admin = kafkaClient(place, { clientId: 'surgecast-test' }).admin();
	await admin.connect();
	await admin.deleteTopics({ topics: [...topics] });
	for (let there = true; there; ) there = (await admin.listTopics()).some((topic) => (topics as readonly string[]).includes(topic));
	await admin.disconnect();
	await onServer(inject('postgres'), (client) => client.query(`drop database ${new URL(database).pathname.slice(1)} with (force)`));
	rmSync(directory, { recursive: true, force: true });
});

async function start(options: Parameters<typeof startInstance>[0]): Promise<Instance> {
	const product = await startInstance(options);
	started.push(product);
	return product;
}

/** The finals of a log by region and minute. @throws when one is there twice and differs. */
async function finalsOf(log: EventLog): Promise<Map<string, readonly (number | null)[]>> {
	const finals = new Map<string, readonly (number | null)[]>();
	for (let partition = 0; partition < PARTITIONS; partition++) {
		const end = await log.end('demand-signals', partition);
		for (let offset = await log.start('demand-signals', partition); offset < end; ) {
			const records = await log.read('demand-signals', partition, { ...READ, offset });
			offset += records.length;
			for (const { value } of records) {
				const decoded = decode(value);
				if (decoded.kind !== 'signal' || decoded.signal.kind !== 'final') continue;
				const { region_id, as_of, values } = decoded.signal;
				const key = `${region_id} ${new Date(as_of).toISOString()}`;
				if (finals.has(key)) expect(values, key).toEqual(finals.get(key));
				finals.set(key, values);
			}
		}
	}
	return new Map([...finals].sort());
}
async function onKafka<T>(work: (log: EventLog) => Promise<T>): Promise<T> {
	const log = await openKafkaLog(place, { partitions: PARTITIONS, client_id: 'surgecast-test', onTrouble: console.warn });
	return work(log).finally(() => log.close());
}
const storedDecisions = () =>
	onServer(database, async (client) => (await client.query<{ decision_id: string }>('select decision_id from decision')).rows.map((row) => row.decision_id));

test('a replay gives the same finals, field by field, on Kafka and PostgreSQL as on the embedded drivers, and every decision is stored once', async () => {
	const file = join(directory, 'made_tripdata_2023-01.csv');
	const trip = (i: number) =>
		`2023-01-05 08:${String(Math.floor(i / 8)).padStart(2, '0')}:${String((i * 13) % 60).padStart(2, '0')},${[74, 75, 41, 166][i % 4]},1.5`;
	writeFileSync(file, `lpep_pickup_datetime,PULocationID,trip_distance\n${Array.from({ length: 320 }, (_, i) => trip(i)).join('\n')}\n`);
	const own = { PARTITIONS: String(PARTITIONS) };
	const embedded = await start({ args: ['--replay', file], directory: join(directory, 'embedded'), env: own, ready: false });
	expect(await embedded.exited, embedded.output()).toBe(0);
	const real = await start({ args: ['--replay', file], directory: join(directory, 'real'), env, ready: false });
	expect(await real.exited, real.output()).toBe(0);
	const log = openEmbeddedLog(join(directory, 'embedded/log'), { partitions: PARTITIONS });
	const wanted = await finalsOf(log).finally(() => log.close());
	expect(wanted.size).toBeGreaterThan(100);
	expect(await onKafka(finalsOf)).toEqual(wanted);
	const stored = await storedDecisions();
	expect([stored.length, new Set(stored).size]).toEqual([320, 320]);
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
			await until('the resend', async () => (await taken()).status === 202, { within: 30_000 });
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
	const counted = [...(await onKafka(finalsOf)).values()].reduce((sum, values) => sum + (values[featureIndex.booking_count_1min] ?? 0), 0);
	expect(counted).toBe(sent.size);
	const stored = await storedDecisions();
	expect(new Set(stored).size).toBe(stored.length);
	// What was not yet handed to an Outbox dies with its isolate: a batch a kill, of 50 ms.
	expect([...decisions].filter((id) => !stored.includes(id)).length).toBeLessThanOrEqual(3 * 10);
	expect(stored.length).toBeGreaterThan(10);
}, 400_000);
