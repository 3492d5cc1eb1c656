// Redis on the real server behind Upstash's door: two doors share ids, the mirror is written and read back, cached prices are the newest, all for their time.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'redis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test, vi } from 'vitest';
import { cachedPrice } from '#schemas/cached-price.ts';
import { featureNames } from '#schemas/feature.ts';
import { mirroredFeatures, mirroredWeek, readMirrored } from '#schemas/feature-mirror.ts';
import type { Frame } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { encodeDecision } from '#stream/avro/codec.ts';
import { everything, fakeCatalogue, freshLog, settableClock } from '#stream/features/river.test-support.ts';
import { openDoorIds } from '#stream/ingest/door-ids.ts';
import { openIntake } from '#stream/ingest/intake.ts';
import { openFeatureMirror } from '#stream/redis/feature-mirror.ts';
import { openPriceCache, type PriceCache } from '#stream/redis/price-cache.ts';
import { openRedis, type RedisClient } from '#stream/redis/redis-client.ts';
import { openSharedIds } from '#stream/redis/shared-ids.ts';
import { type RedisServer, startRedis } from './services/redis.ts';
import { startUpstashBridge, type UpstashBridge } from './services/upstash-bridge.ts';
import { until } from './until.ts';

const plain = createClient({ url: inject('redis') }).on('error', () => undefined);
const directory = mkdtempSync(join(tmpdir(), 'surgecast-redis-'));
let bridge: UpstashBridge;
let redis: RedisClient;
/** A busy machine may need longer for what is not about the limit. */
const patient = () => vi.spyOn(limits, 'redis_ms', 'get').mockReturnValue(10_000 as never);
beforeAll(async () => void (await plain.connect()));
beforeEach(async () => {
	patient();
	await plain.flushAll();
	bridge = await startUpstashBridge({ redis_url: inject('redis') });
	redis = openRedis(bridge);
});
afterEach(() => {
	vi.restoreAllMocks();
	return bridge.close();
});
afterAll(() => {
	plain.destroy();
	rmSync(directory, { recursive: true, force: true });
});

describe('the ids that doors share', () => {
	let river: ReturnType<typeof freshLog>;
	let closing: (() => Promise<void>)[];
	beforeEach(() => {
		river = freshLog();
		closing = [];
	});
	afterEach(async () => {
		for (const close of closing) await close();
		await river.log.close();
		river.remove();
	});
	let doors = 0;
	/** A door with a memory of its own, on the same log. */
	function openDoor(options: { pepper?: string; redis?: RedisClient } = {}) {
		const { pepper = 'pepper' } = options;
		const ids = openDoorIds(join(directory, `door-${++doors}`), { now: Date.now() });
		const shared = openSharedIds({ redis: options.redis ?? redis, pepper });
		const catalogue = fakeCatalogue(['r-0']);
		const intake = openIntake({ log: river.log, ids, shared, catalogue, clock: settableClock(Date.now()), pepper, events_per_minute: undefined });
		closing.push(async () => {
			await intake.close();
			await shared.close();
			ids.close();
		});
		const send = async (...events: Record<string, unknown>[]) => {
			const items = events.map((event) => ({ value: { event_type: 'booking', region_id: 'r-0', ...event } }));
			return (await intake.take(items, { traceparent: undefined })).map(({ status }) => status);
		};
		return { shared, send };
	}

	test('an event that one door took is a duplicate at the other, another payload a conflict, by the same rules', async () => {
		const [one, two] = [openDoor(), openDoor()];
		const timestamp = '2026-01-11T10:00:00Z';
		expect(await one.send({ event_id: 'a', user_id: 'u-77', timestamp }, { event_id: 'b' })).toEqual(['accepted', 'accepted']);
		await until('both are known', async () => one.shared.counts.remembered === 2);
		expect(
			await two.send(
				{ event_id: 'a', user_id: 'u-77', timestamp: '2026-01-11T18:00:00+08:00' },
				{ idempotency_key: 'a', user_id: 'u-77' },
				{ event_id: 'a', user_id: 'u-78', timestamp },
				{ event_id: 'a', user_id: 'u-77', timestamp: '2026-01-11T10:00:01Z' },
				{ event_id: 'c' },
				{ event_id: 'c' },
				{ event_id: 'c', user_id: 'u-1' },
			),
		).toEqual(['duplicate', 'duplicate', 'conflict', 'conflict', 'accepted', 'duplicate', 'conflict']);
		expect((await everything(river.log, 'user-events')).length).toBe(3);
		const keys = await plain.keys('*');
		expect(keys.every((key) => /^event:[\w-]{22}$/.test(key))).toBe(true);
		const day = await plain.ttl(keys[0]!);
		expect(day).toBeGreaterThan(limits.redis_ids_seconds - 60);
		expect(day).toBeLessThanOrEqual(limits.redis_ids_seconds);
		for (const key of keys) expect(await plain.get(key)).not.toMatch(/u-77|r-0|booking/);
	});

	test('a group of a thousand ids and more is one question; what lies beyond the bound is left to the fold', async () => {
		const [one, two] = [openDoor(), openDoor()];
		const events = Array.from({ length: limits.redis_ids_max + 5 }, (_, i) => ({ event_id: `e-${i}` }));
		await one.send(...events);
		await until('they are known', async () => one.shared.counts.remembered === events.length);
		const before = bridge.requests.length;
		const statuses = await two.send(...events);
		expect(statuses.filter((status) => status === 'duplicate').length).toBe(limits.redis_ids_max);
		expect(two.shared.counts).toMatchObject({ found: limits.redis_ids_max, unasked: 5 });
		expect(bridge.requests.slice(before).filter((commands) => String(commands[0]?.[0]).toUpperCase() === 'MGET').length).toBe(1);
	});

	test('garbage and what another secret sealed are inert', async () => {
		const [one, two, other] = [openDoor(), openDoor(), openDoor({ pepper: 'another' })];
		await one.send({ event_id: 'a' }, { event_id: 'b' }, { event_id: 'c' }, { event_id: 'd' });
		await until('all are known', async () => one.shared.counts.remembered === 4);
		expect(await other.send({ event_id: 'a', user_id: 'u' })).toEqual(['accepted']);
		const [first, second, third, fourth] = await plain.keys('event:*');
		await plain.set(first!, 'no JSON');
		await plain.set(second!, JSON.stringify({ form: 2, seal: 's', payload: 'p', timestamp: null }));
		await plain.set(third!, 'x'.repeat(1_000_000));
		await plain.del(fourth!);
		await plain.lPush(fourth!, 'a list');
		expect(await two.send({ event_id: 'a' }, { event_id: 'b' }, { event_id: 'c' }, { event_id: 'd' })).toEqual(Array(4).fill('accepted'));
	});

	test('F21: a door takes events while Redis dies, hangs for good, refuses; the breaker keeps it alone, and finds it when it is back', async () => {
		const own: RedisServer = await startRedis(join(directory, 'own'));
		const broken = await startUpstashBridge({ redis_url: own.url });
		let now = 0;
		const client = openRedis({ ...broken, now: () => now });
		const [one, two] = [openDoor({ redis: client }), openDoor({ redis: client })];
		await one.send({ event_id: 'before' });
		await until('it is known', async () => one.shared.counts.remembered === 1);
		for (const trouble of ['kill', 'hang', 'refuse'] as const) {
			vi.restoreAllMocks();
			if (trouble === 'kill') await own.kill();
			if (trouble === 'hang') broken.fate = () => 'hang';
			if (trouble === 'refuse') broken.fate = () => ({ status: 500, body: 'no JSON at all' });
			for (let i = 0; !client.open(); i++) expect(await one.send({ event_id: `${trouble}-${i}` })).toEqual(['accepted']);
			const sent = broken.requests.length;
			const skipped = client.counts.skipped;
			expect(await two.send({ event_id: `${trouble}-0` })).toEqual(['accepted']); // not known, so taken: the fold counts it once
			expect(await one.send({ event_id: `${trouble}-0` })).toEqual(['duplicate']); // its own memory
			expect(broken.requests.length).toBe(sent);
			expect(client.counts.skipped).toBeGreaterThan(skipped);
			expect(client.behind()).toMatchObject([{ what: 'Redis' }]);
			if (trouble === 'kill') await own.start();
			broken.fate = () => 'serve';
			patient();
			await until('Redis is found again', async () => {
				now += limits.redis_open_ms;
				return (await client.get(['x'])) !== undefined;
			});
			expect(client.behind()).toEqual([]);
		}
		await one.send({ event_id: 'after' });
		await until('it is known', async () => (await two.send({ event_id: 'after' }))[0] === 'duplicate');
		await broken.close();
		await own.stop();
	});
});

describe('the mirror of features', () => {
	const values = featureNames.map((_, index) => (index % 5 === 0 ? null : index / 7));
	const frameOf = (seq: number, more: Partial<Frame> = {}): Frame => ({
		shard: 3,
		epoch: 2,
		seq,
		as_of: 1_768_125_600_000 + seq,
		now: null,
		whole: false,
		regions: [{ region_id: 'sg-central', values, busy_drivers: 4 }],
		...more,
	});
	const read = async (key: string) => readMirrored(mirroredFeatures, { text: await plain.get(key), region_id: key.split(':')[1]! });

	test('holds the last row of each region, for two minutes, written in pipelines of bounded size; a week longer', async () => {
		const mirror = openFeatureMirror({ redis, flush_ms: 1 });
		const usual_week = Array.from({ length: 168 }, (_, hour) => hour / 3);
		const many = Array.from({ length: 450 }, (_, i) => ({ region_id: `r-${i}`, values, busy_drivers: null, ...(i === 0 ? { usual_week } : {}) }));
		mirror.put([frameOf(1), frameOf(2), frameOf(3, { regions: many }), frameOf(4, { now: 5, regions: [{ region_id: 'city', values, busy_drivers: null }] })]);
		await until('all is written', async () => mirror.counts.written === 451 && (await plain.exists('usual-week:r-0')) === 1);
		expect(await read('features:sg-central')).toEqual({
			form: 1,
			feature_set: 'v1',
			region_id: 'sg-central',
			shard: 3,
			epoch: 2,
			seq: 2,
			as_of: 1_768_125_600_002,
			values,
			busy_drivers: 4,
		});
		expect(await read('features:r-449')).toMatchObject({ seq: 3 });
		expect(await plain.exists('features:city')).toBe(0);
		expect(readMirrored(mirroredWeek, { text: await plain.get('usual-week:r-0'), region_id: 'r-0' })?.usual_week).toEqual(usual_week);
		expect(bridge.requests.map((commands) => commands.length)).toEqual([200, 200, 51, 1]);
		const life = await plain.ttl('features:r-0');
		expect(life).toBeGreaterThan(limits.mirror_seconds - 60);
		expect(life).toBeLessThanOrEqual(limits.mirror_seconds);
		expect(await plain.ttl('usual-week:r-0')).toBeGreaterThan(limits.mirror_week_seconds - 60);
		await plain.del('features:sg-central');
		await plain.lPush('features:sg-central', 'another type');
		mirror.put([frameOf(5)]);
		await mirror.close();
		expect(await read('features:sg-central')).toMatchObject({ seq: 5 });
	});

	test('F21: takes frames while Redis fails, loses them counted, keeps a week for later', async () => {
		const mirror = openFeatureMirror({ redis, flush_ms: 1 });
		const usual_week = Array.from({ length: 168 }, () => 1);
		bridge.fate = () => 'drop';
		mirror.put([frameOf(1, { regions: [{ region_id: 'a', values, busy_drivers: null, usual_week }] })]);
		await until('it is lost', async () => mirror.counts.lost === 1);
		bridge.fate = () => 'serve';
		mirror.put([frameOf(2, { regions: [{ region_id: 'a', values, busy_drivers: null }] })]);
		await until('both are there', async () => (await plain.exists(['features:a', 'usual-week:a'])) === 2);
		await mirror.close();
	});
});

describe('the cached prices', () => {
	let river: ReturnType<typeof freshLog>;
	let cache: PriceCache;
	let clock: ReturnType<typeof settableClock>;
	const NOW = Date.UTC(2026, 0, 11, 10, 30);
	beforeEach(async () => {
		river = freshLog();
		clock = settableClock(NOW);
		cache = await openPriceCache({ log: river.log, redis, clock, retry_ms: 5 });
		cache.start();
	});
	afterEach(async () => {
		await cache.stop();
		await river.log.close();
		river.remove();
	});
	let made = 0;
	const decision = (decided_at: number, more: { answer?: object; inputs?: object; request?: object; region_id?: string } = {}) => {
		const iso = (at: number) => (Math.abs(at) > 8.64e15 ? 'never' : new Date(at).toISOString());
		const versions = { release: 7, rule_set: 4, model: 'demand@3', features: 182733, features_as_of: iso(decided_at), age_ms: 0 };
		const money = { price: 15.75, amount_minor: 1575, currency: 'SGD', base_price: 12, surge_multiplier: 1.31 };
		return encodeDecision({
			decision_id: `d-${++made}`,
			region_id: more.region_id ?? 'sg-central',
			decided_at,
			isolate: 'i',
			sequence: made,
			answer: { product_type: 'standard_ride', ...money, status: 'priced', valid_until: iso(decided_at + 120_000), versions, ...more.answer },
			inputs: {
				request: { bucket: null, attributes: {}, ...more.request },
				snapshot_id: 's',
				user_hash: null,
				arm: 'champion',
				experiment: null,
				...more.inputs,
			},
		} as never);
	};
	/** Appends decisions and waits until the sink has moved past them. */
	async function append(...values: Uint8Array[]): Promise<void> {
		const before = cache.counts.moved;
		await river.log.append(values.map((value) => ({ topic: 'pricing-decisions' as const, partition: 0, key: 'r', value, timestamp: NOW })));
		await until('they are moved', async () => cache.counts.moved === before + values.length);
	}
	const KEY = 'price:sg-central:standard_ride';
	const held = async () => cachedPrice.parse(JSON.parse((await plain.get(KEY)) ?? 'null'));

	test('are the newest that anybody would have got, for what is left of their minute', async () => {
		await append(decision(NOW - 20_000, { answer: { price: 1 } }), decision(NOW - 10_000), decision(NOW - 15_000, { answer: { price: 2 } }));
		expect(await held()).toMatchObject({
			price: 15.75,
			amount_minor: 1575,
			decided_at: '2026-01-11T10:29:50.000Z',
			status: 'priced',
			versions: { release: 7 },
		});
		expect(Object.keys(await held()).sort()).toEqual(Object.keys(cachedPrice.shape).sort());
		const life = await plain.pTTL(KEY);
		expect(life).toBeGreaterThan(20_000);
		expect(life).toBeLessThanOrEqual(50_000);
		await append(decision(NOW - 11_000, { answer: { price: 3 } })); // of another batch
		expect((await held()).price).toBe(15.75);
		expect(cache.counts).toMatchObject({ cached: 1, kept: 1 });
		await append(decision(NOW - 9_999, { answer: { price: 4 } }));
		expect((await held()).price).toBe(4);
		await append(decision(NOW, { answer: { price: 5, valid_until: new Date(NOW + 5000).toISOString() } }));
		expect(await plain.pTTL(KEY)).toBeLessThanOrEqual(5000);
	});

	test('never tell of a user, a distance, a canary or an experiment, nor what is a minute old', async () => {
		await append(
			decision(NOW, { request: { bucket: 7 }, inputs: { user_hash: 'h' } }),
			decision(NOW, { inputs: { user_hash: 'h' } }),
			decision(NOW, { request: { attributes: { distance_km: 4.2 } } }),
			decision(NOW, { inputs: { arm: 'canary' } }),
			decision(NOW, { inputs: { experiment: 'e' } }),
			decision(NOW - limits.price_cache_ms),
			decision(NOW, { inputs: { request: null } }),
			decision(NOW, { answer: { price: -1 } }),
			decision(NOW, { region_id: 'a:b' }),
			decision(8.7e15),
		);
		expect(await plain.keys('*')).toEqual([]);
		expect(cache.counts).toMatchObject({ cached: 0, failures: 0 });
	});

	test.each([
		['no JSON', '{'],
		['an instant far ahead', JSON.stringify({ decided_at: '9999-01-01T00:00:00.000Z' })],
		['a huge value', 'x'.repeat(1_000_000)],
	])('replace %s, and another type of value', async (_, garbage) => {
		await plain.set(KEY, garbage);
		await append(decision(NOW));
		expect((await held()).price).toBe(15.75);
		await plain.del(KEY);
		await plain.lPush(KEY, garbage);
		await append(decision(NOW + 1));
		expect((await held()).price).toBe(15.75);
	});

	test('F21: the sink moves on while Redis is away, and writes again when it is back', async () => {
		bridge.fate = () => 'drop';
		await append(decision(NOW));
		expect(cache.counts).toMatchObject({ lost: 1, failures: 0 });
		expect(cache.trouble()).toBeNull();
		bridge.fate = () => 'serve';
		await append(decision(NOW + 1));
		expect((await held()).decided_at).toBe('2026-01-11T10:30:00.001Z');
	});
});

test('the bridge answers as Upstash does: a wrong token 401, a transaction, an error beside results', async () => {
	const send = async (path: string, body: unknown, token = bridge.token) => {
		const answer = await fetch(bridge.url + path, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: JSON.stringify(body) });
		return { status: answer.status, json: await answer.json() };
	};
	expect((await send('/', ['GET', 'a'], 'wrong')).status).toBe(401);
	expect(await send('/', ['SET', 'a', '1'])).toEqual({ status: 200, json: { result: 'OK' } });
	expect(
		await send('/multi-exec', [
			['INCR', 'a'],
			['GET', 'a'],
		]),
	).toEqual({ status: 200, json: [{ result: 2 }, { result: '2' }] });
	expect(
		await send('/pipeline', [
			['GET', 'a'],
			['LPUSH', 'a', 'x'],
		]),
	).toMatchObject({ status: 200, json: [{ result: '2' }, { error: expect.stringContaining('WRONGTYPE') }] });
	expect((await send('/', ['NONSENSE'])).status).toBe(400);
});
