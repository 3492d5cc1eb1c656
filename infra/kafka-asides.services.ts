// What does not belong into the fold, on a real Kafka under the whole product: it is set aside with its bytes and headers, and everything beside it counts as ever.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { openDatabase } from '#control-plane/database/open-database.ts';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { featureIndex } from '#schemas/feature.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import type { Topic } from '#schemas/topic.ts';
import { databaseCatalogue } from '#stream/database-catalogue.ts';
import type { StoredRecord } from '#stream/log/event-log.ts';
import { kafkaClient } from '#stream/log/kafka-client.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import { random } from './city/random.ts';
import { finalsDiffer, refold } from './drills/refold.ts';
import { findFinals } from './find-finals.ts';
import { type Instance, startInstance } from './instance.ts';
import { readTopic } from './read-topic.ts';
import { dropTopics, freshDatabase } from './services/fresh.ts';
import { until } from './until.ts';

const PARTITIONS = 4;
const LATENESS_SECONDS = 20;
const MINUTE_MS = 60_000;
const REGION = 'sg-central';
const IN_TIME = 200;

const directory = mkdtempSync(join(tmpdir(), 'surgecast-asides-'));
let database: Awaited<ReturnType<typeof freshDatabase>>;
let product: Instance;
beforeAll(async () => {
	database = await freshDatabase(inject('postgres'));
	const env = { PARTITIONS: String(PARTITIONS), LOG_URL: inject('kafka'), DATABASE_URL: database.url, LATENESS_SECONDS: String(LATENESS_SECONDS) };
	product = await startInstance({ directory, env });
}, 180_000);
afterAll(async () => {
	if (product?.child.exitCode === null) await product.kill();
	await dropTopics(inject('kafka'));
	await database?.drop();
	rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}, 60_000);

test('shuffled events count (F6), late ones go to late-events (F7), those of a clock that is ahead (F9) and what cannot be read (F10) to dead-letter as they were; the rest goes on', async () => {
	const now = Date.now();
	const next = random(7);
	const event = (event_id: string, at: number) => ({
		event_id,
		event_type: 'booking',
		region_id: REGION,
		timestamp: new Date(at).toISOString(),
	});
	const post = async (events: unknown[]) =>
		expect(await product.call('ingest', 'POST', '/api/v1/events', { role: 'producer', body: events })).toMatchObject({
			status: 202,
			json: { accepted: events.length },
		});
	// Half of what is in time before, half after what is not: back and forth within the lateness.
	const shuffled = Array.from({ length: IN_TIME }, (_, n) => event(`in-time-${n}`, now - Math.floor(next() * 15_000)));
	await post(shuffled.slice(0, IN_TIME / 2));
	await post([event('late-by-a-minute', now - 60_000), event('late-by-a-day', now - 86_400_000)]);
	await post([event('ahead-by-ten-minutes', now + 600_000), event('ahead-by-a-day', now + 86_400_000)]);

	const raw: { name: string; value: Buffer }[] = [
		{ name: 'no frame', value: Buffer.from([1, 2, 3]) },
		{ name: 'an unknown schema', value: Buffer.from([0, 0, 0, 3, 231, 1]) },
		{ name: 'two megabytes', value: Buffer.alloc(2 * 1024 * 1024, 7) },
		{ name: 'nothing', value: Buffer.alloc(0) },
	];
	const producer = kafkaClient(kafkaPlace(inject('kafka')), { clientId: 'surgecast-test' }).producer({ allowAutoTopicCreation: false });
	await producer.connect();
	for (const { name, value } of raw)
		await producer.send({ topic: 'user-events', acks: -1, messages: [{ key: REGION, value, partition: partition(REGION, PARTITIONS), headers: { name } }] });
	await producer.disconnect();
	await post(shuffled.slice(IN_TIME / 2));

	const minute = Math.ceil((Date.now() + 1) / MINUTE_MS) * MINUTE_MS;
	const final = async () => {
		const { text } = await product.call('ingest', 'GET', '/metrics');
		return Number(/^surgecast_features_final_minute_seconds (\d+)/m.exec(text)?.[1]) * 1000 >= minute;
	};
	await until('the finals', final, { within: 2 * MINUTE_MS + LATENESS_SECONDS * 1000 + limits.stamp_to_append_ms_max, every: 500 });
	expect(await product.stop(), product.output()).toBe(0);

	const log = await openKafkaLog(kafkaPlace(inject('kafka')), { partitions: PARTITIONS, client_id: 'surgecast-test', onTrouble: console.warn });
	const opened = await openDatabase(database.url);
	try {
		const aside = async (topic: Topic): Promise<StoredRecord[]> => {
			const records: StoredRecord[] = [];
			for await (const record of readTopic(log, topic, 0)) records.push(record);
			return records;
		};
		const place = new RegExp(`^user-events/${partition(REGION, PARTITIONS)}/\\d+$`);
		const late = await aside('late-events');
		expect(late).toHaveLength(2);
		for (const { headers } of late) expect(headers).toMatchObject({ reason: expect.stringContaining('late'), source: expect.stringMatching(place) });
		const dead = await aside('dead-letter');
		expect(dead).toHaveLength(2 + raw.length);
		for (const { headers } of dead.slice(0, 2))
			expect(headers).toMatchObject({ reason: expect.stringContaining('ahead of its ingestion'), source: expect.stringMatching(place) });
		for (const [n, { name, value }] of raw.entries()) {
			const found = dead[2 + n]!;
			expect(found.headers).toMatchObject({ name, reason: expect.any(String), source: expect.stringMatching(place) });
			expect(Buffer.compare(Buffer.from(found.value), value), name).toBe(0);
		}
		const catalogue = databaseCatalogue(opened.connection);
		await catalogue.refresh();
		const finals = await findFinals(log);
		const counted = [...finals.values()].reduce((sum, { values }) => sum + (values[featureIndex.booking_count_1min] ?? 0), 0);
		expect(counted).toBe(IN_TIME);
		const wanted = await refold(log, { catalogue, lateness_ms: LATENESS_SECONDS * 1000, until: minute });
		expect(finalsDiffer(finals, wanted, minute)).toEqual([]);
	} finally {
		await log.close();
		await opened.close();
	}
}, 400_000);
