// A Shard that lost its memory and its storage, while no feature worker lives that could tell it anything: it catches up from the mirror in Redis.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { mirrorKey } from '#schemas/feature-mirror.ts';
import type { PriceAnswer } from '#schemas/price.ts';
import { openRedis } from '#stream/redis/redis-client.ts';
import { type Deployment, openDeployment, type Part } from './drills/deployment.ts';
import { dropTopics, freshDatabase } from './services/fresh.ts';
import { startUpstashBridge, type UpstashBridge } from './services/upstash-bridge.ts';
import { until } from './until.ts';

const REGION = 'sg-central';
let bridge: UpstashBridge;
let database: Awaited<ReturnType<typeof freshDatabase>>;
let deployment: Deployment;
let edge: Part;
let worker: Part;
beforeAll(async () => {
	[bridge, database] = await Promise.all([startUpstashBridge({ redis_url: inject('redis') }), freshDatabase(inject('postgres'))]);
	deployment = await openDeployment({
		PARTITIONS: '2',
		LOG_URL: inject('kafka'),
		DATABASE_URL: database.url,
		UPSTASH_REDIS_REST_URL: bridge.url,
		UPSTASH_REDIS_REST_TOKEN: bridge.token,
	});
	await deployment.start('control-plane');
	[edge, worker] = await Promise.all([deployment.start('edge'), deployment.start('feature-worker'), deployment.start('ingestion')]);
}, 180_000);
afterAll(async () => {
	await deployment?.tidy();
	await bridge?.close();
	await database?.drop();
	await dropTopics(inject('kafka'));
}, 60_000);

test('a Shard without memory prices from the mirror of features, not from the tariff', async () => {
	const events = Array.from({ length: 50 }, (_, n) => ({ event_id: `m-${n}`, event_type: 'booking', region_id: REGION }));
	expect(await deployment.call('ingest', 'POST', '/api/v1/events', { role: 'producer', body: events })).toMatchObject({ status: 202 });
	const price = async (): Promise<PriceAnswer | undefined> => {
		const body = { region_id: REGION, product_type: 'standard_ride' };
		const answer = await deployment.call('edge', 'POST', '/api/v1/price', { role: 'client', body });
		return answer.status === 200 ? answer.json : undefined;
	};
	const before = await until('a price that knows of the bookings', async () => {
		const answer = await price();
		return (answer?.forecast?.expected_bookings ?? 0) > 5 && answer;
	});
	const redis = openRedis({ url: bridge.url, token: bridge.token });
	const mirrored = await until('the mirror', async () => {
		const [text] = (await redis.get([mirrorKey(REGION)])) ?? [];
		const row = text ? (JSON.parse(text) as { as_of: number }) : undefined;
		return row && row.as_of >= Date.parse(before.versions.features_as_of!) && row;
	});

	await worker.kill();
	await edge.kill();
	const refused = () =>
		fetch(deployment.urls.edge).then(
			() => false,
			() => true,
		);
	await until('the end of workerd', refused, { within: 60_000 });
	rmSync(join(deployment.keysDir, 'edge'), { recursive: true, force: true, maxRetries: 10 });
	edge = await deployment.start('edge');
	const after = await until(
		'a price from features',
		async () => {
			const answer = await price();
			return (answer?.versions.features_as_of ?? null) !== null && answer;
		},
		{ within: 60_000 },
	);
	expect(Date.parse(after.versions.features_as_of!)).toBeGreaterThanOrEqual(mirrored.as_of);
	expect(['priced', 'stale']).toContain(after.status);
	expect(after.forecast?.expected_bookings).toBeGreaterThan(5);
}, 180_000);
