// A Shard that lost its memory catches up from the mirror of features, behind its answers, and takes no harm from whatever stands there.
import { evictDurableObject, reset } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { pulse } from '#models/forecast/pulse.ts';
import { usualAt, usualForecast } from '#models/forecast/usual.ts';
import { mirrorKey, mirrorWeekKey } from '#schemas/feature-mirror.ts';
import type { RefreshAnswer } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import { entry, frame, partitions, signedRelease, vector } from '../test-support.ts';
import type { ShardEnvironment } from './environment.ts';

const environment = env as unknown as ShardEnvironment;
const URL = 'http://redis.test';
let number = 0;
let stored: Map<string, unknown>;
let asked: string[][];
/** While true questions wait for their answers. */
let slow: boolean;
let warned: MockInstance<typeof console.warn>;
/** What becomes of the next questions, in order; then they are answered. */
let fates: ('hang' | 'refuse' | 'nonsense' | 'other list')[];

/** Upstash's door, as far as MGET goes. A question that hangs ends with its caller's signal. */
function fakeDoor(): void {
	const real = globalThis.fetch;
	vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
		if (!String(input).startsWith(URL)) return real(input, init);
		const [, ...keys] = JSON.parse(String(init?.body)) as string[];
		expect(new Headers(init?.headers).get('authorization')).toBe('Bearer hush');
		asked.push(keys);
		const fate = fates.shift();
		if (fate === 'hang') return new Promise((_, reject) => init?.signal?.addEventListener('abort', () => reject(init.signal?.reason)));
		if (fate === 'refuse') return Response.json({ error: 'WRONGPASS' }, { status: 401 });
		if (fate === 'nonsense') return new Response('<html>');
		if (fate === 'other list') return Response.json({ result: [null] });
		while (slow) await new Promise((resolve) => setTimeout(resolve, 1));
		const encoded = (value: unknown) => (typeof value === 'string' ? btoa(value) : (value ?? null));
		return Response.json({ result: keys.map((key) => encoded(stored.get(key))) });
	});
}
beforeEach(() => {
	stored = new Map();
	asked = [];
	fates = [];
	slow = false;
	Object.assign(environment, { UPSTASH_REDIS_REST_URL: URL, UPSTASH_REDIS_REST_TOKEN: 'hush' });
	warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
	fakeDoor();
});
afterEach(async () => {
	delete environment.UPSTASH_REDIS_REST_URL;
	delete environment.UPSTASH_REDIS_REST_TOKEN;
	vi.restoreAllMocks();
	await reset();
});

type Stub = ReturnType<typeof environment.SHARD.getByName>;
async function openShard(...ids: string[]): Promise<Stub> {
	const shard = environment.SHARD.getByName(`shard/mirror-${++number}`);
	const { pointer, bodies } = await signedRelease(1);
	await shard.takeRelease(pointer, bodies);
	await shard.takeEntries(ids.map((id) => entry(id)));
	return shard;
}
async function snapshotOf(shard: Stub, id: string) {
	const answer = JSON.parse(await shard.refresh({ regions: [[id, null]], bodies: [], keys: null })) as RefreshAnswer;
	return answer.snapshots[0]!;
}
function mirror(id: string, changes: Record<string, unknown> = {}): void {
	const row = {
		form: 1,
		feature_set: 'v1',
		region_id: id,
		shard: partition(id, partitions),
		epoch: 1,
		seq: 9,
		as_of: Date.now(),
		values: vector(),
		busy_drivers: 2,
	};
	stored.set(mirrorKey(id), JSON.stringify({ ...row, ...changes }));
}
/** Waits for what the Shard does behind its answers. */
const until = (holds: () => unknown) => vi.waitUntil(async () => Boolean(await holds()), { timeout: 10_000, interval: 5 });
/** A life of the object later, its stored features older than the mirror. */
async function laterLife(shard: Stub): Promise<void> {
	await evictDurableObject(shard);
	vi.spyOn(limits, 'mirror_flush_ms', 'get').mockReturnValue(0 as never);
	asked = [];
	await shard.state(0); // wakes it
}

describe('a Shard that lost its memory', () => {
	it('takes newer features from the mirror, forecasts them, and keeps the pair by which frames are accepted', async () => {
		const shard = await openShard('a');
		const old = Date.now() - 40_000;
		await shard.takeFrame(frame(0, { epoch: 1, seq: 5 }, { as_of: old, regions: ['a'] }));
		const busy = vector({ recent_bookings: 60 });
		const as_of = Date.now() - 1000;
		mirror('a', { seq: 300, as_of, values: busy });
		await laterLife(shard);
		await until(async () => (await snapshotOf(shard, 'a')).features?.as_of === as_of);
		expect(await snapshotOf(shard, 'a')).toMatchObject({
			features: { version: 2 ** 32 + 5, as_of, values: busy, busy_drivers: 2 },
			forecasts: { champion: pulse(busy), canary: null },
		});
		expect(await shard.state(0)).toMatchObject({ epoch: 1, seq: 5, as_of: old });
		expect((await shard.takeFrame(frame(0, { epoch: 1, seq: 6 }, { regions: ['a'] }))).taken).toBe(true);
	});

	it('that lost what it stored as well asks for its regions when their entries come, their usual weeks too, in pages', async () => {
		const week = Array.from({ length: 168 }, () => 7); // the same at every hour, so whenever it is looked at
		const ids = Array.from({ length: limits.mirror_ask_regions_max + 1 }, (_, i) => `r-${i}`);
		const last = ids.at(-1)!;
		mirror(last);
		stored.set(mirrorWeekKey(last), JSON.stringify({ form: 1, region_id: last, usual_week: week }));
		const shard = await openShard(...ids);
		await until(async () => (await snapshotOf(shard, last)).features);
		expect(asked.map((keys) => keys.length)).toEqual([2 * limits.mirror_ask_regions_max, 2]);
		const { features, usual } = await snapshotOf(shard, last);
		expect(features?.version).toBe(0); // below whatever frame comes
		expect(usual).toEqual(usualForecast(usualAt({ week, at: Date.now(), time_zone: 'Asia/Singapore' })));
		expect((await snapshotOf(shard, 'r-0')).features).toBeNull();
	});

	it('F21 answers while the mirror hangs, refuses or talks nonsense; it is asked again, three times and no more', async () => {
		fates = ['hang', 'refuse', 'nonsense'];
		vi.spyOn(limits, 'mirror_retry_ms', 'get').mockReturnValue(1 as never);
		mirror('a');
		const shard = await openShard('a');
		expect((await snapshotOf(shard, 'a')).features).toBeNull(); // answered from what is held
		await until(() => asked.length === limits.mirror_tries_max);
		await until(() => warned.mock.calls.length === limits.mirror_tries_max);
		for (const [line] of warned.mock.calls) expect(line).toContain('the mirror of features does not answer');
		expect((await snapshotOf(shard, 'a')).features).toBeNull();
		expect((await shard.takeFrame(frame(0, { seq: 1 }, { regions: ['a'], whole: true }))).taken).toBe(true);
		expect(asked.length).toBe(limits.mirror_tries_max);
		fates = ['hang', 'other list'];
		const second = await openShard('a');
		await until(async () => (await snapshotOf(second, 'a')).features); // it came with the last try
	});

	it('asks nobody once it was told as a whole, nor on a city clock, nor where there is no mirror', async () => {
		const shard = await openShard('a');
		await until(() => asked.length === 1);
		await shard.takeFrame(frame(0, { seq: 1 }, { regions: ['a'], whole: true }));
		await shard.takeEntries([entry('b')]);
		const city = environment.SHARD.getByName(`shard/mirror-${++number}`);
		await city.takeFrame(frame(0, { seq: 1 }, { now: Date.UTC(2023, 0, 1) }));
		await city.takeEntries([entry('b')]);
		delete environment.UPSTASH_REDIS_REST_TOKEN;
		await openShard('c');
		expect(asked.length).toBe(1);
	});
});

describe('a mirror that cannot be trusted', () => {
	it('never blocks a frame nor an isolate by a huge pair, and never moves as_of beyond now', async () => {
		mirror('a', { epoch: 2 ** 20, seq: 2 ** 31 });
		mirror('b', { as_of: Date.now() + 60_000 });
		const shard = await openShard('a', 'b');
		await until(async () => (await snapshotOf(shard, 'a')).features);
		expect((await snapshotOf(shard, 'a')).features?.version).toBe(0);
		expect((await snapshotOf(shard, 'b')).features).toBeNull();
		expect(await shard.state(0)).toMatchObject({ epoch: 0, seq: 0, as_of: null });
		expect((await shard.takeFrame(frame(0, { epoch: 1, seq: 1 }, { regions: ['a'] }))).taken).toBe(true);
		expect((await snapshotOf(shard, 'a')).features?.version).toBe(2 ** 32 + 1);
	});

	it('never replaces what a frame of this life brought, nor what is newer', async () => {
		const shard = await openShard('a', 'b');
		const now = Date.now();
		await shard.takeFrame(frame(0, { epoch: 2, seq: 5 }, { as_of: now - 1000, regions: ['a', 'b'] }));
		mirror('a', { epoch: 1, seq: 900, as_of: now - 500 }); // of an owner before
		mirror('b', { epoch: 2, seq: 900, as_of: now - 2000 });
		await laterLife(shard);
		await until(() => asked.length === 1);
		mirror('c', { epoch: 9 });
		await shard.takeEntries([entry('c')]);
		await until(async () => (await snapshotOf(shard, 'c')).features);
		for (const id of ['a', 'b']) expect((await snapshotOf(shard, id)).features).toMatchObject({ version: 2 * 2 ** 32 + 5, as_of: now - 1000 });
	});

	it('never replaces what a frame brought while the mirror was asked', async () => {
		slow = true;
		const as_of = Date.now() - 1000;
		mirror('a', { epoch: 9, as_of: Date.now() - 500 });
		mirror('z');
		const shard = await openShard('a', 'z');
		await until(() => asked.length === 1);
		await shard.takeFrame(frame(0, { epoch: 1, seq: 1 }, { as_of, regions: ['a'] }));
		slow = false;
		await until(async () => (await snapshotOf(shard, 'z')).features);
		expect((await snapshotOf(shard, 'a')).features).toMatchObject({ version: 2 ** 32 + 1, as_of });
	});

	const values = vector();
	it.each<[string, unknown]>([
		['no JSON', '{"form":1'],
		['another type of value', 7],
		['a list', '[]'],
		['a huge text', `"${'x'.repeat(1_000_000)}"`],
		['another form', { form: 2 }],
		['another feature set', { feature_set: 'v2' }],
		['another region', { region_id: 'b' }],
		['another shard', { shard: -1 }],
		['a vector too short', { values: values.slice(1) }],
		['a vector with text', { values: ['1', ...values.slice(1)] }],
		['an instant that is none', { as_of: 1.5 }],
		['a number beyond JSON', `{"form":1,"as_of":1e400}`],
		['an unknown field', { also: 1 }],
		['a prototype', '{"__proto__":{"form":1}}'],
	])('is inert with %s', async (_, value) => {
		if (typeof value === 'object') mirror('a', value as Record<string, unknown>);
		else stored.set(mirrorKey('a'), value);
		stored.set(mirrorWeekKey('a'), JSON.stringify({ form: 1, region_id: 'a', usual_week: [1] }));
		mirror('z');
		const shard = await openShard('a', 'z');
		await until(async () => (await snapshotOf(shard, 'z')).features);
		expect(await snapshotOf(shard, 'a')).toMatchObject({ features: null, usual: null });
	});
});
