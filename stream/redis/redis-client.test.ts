// The client against a door that breaks in every way: what it cannot know it says so, once, within its limit, and then leaves the door alone.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { limits } from '#schemas/limits.ts';
import { fakeCatalogue, freshLog, settableClock } from '../features/river.test-support.ts';
import { openDoorIds } from '../ingest/door-ids.ts';
import { openIntake } from '../ingest/intake.ts';
import { openFeatureMirror } from './feature-mirror.ts';
import { openRedis } from './redis-client.ts';
import { openSharedIds } from './shared-ids.ts';

let server: Server;
let url: string;
let bodies: string[];
/** What the door answers; null: it never does. */
let answer: { status: number; body: string } | null;
let now: number;
let troubles: string[];
const fine = (...results: unknown[]) => ({ status: 200, body: JSON.stringify(results.map((result) => ({ result }))) });
const list = (...values: (string | null)[]) => ({ status: 200, body: JSON.stringify({ result: values.map((value) => value && btoa(value)) }) });

/** A busy machine may need longer for what is not about the limit. */
const patient = () => vi.spyOn(limits, 'redis_ms', 'get').mockReturnValue(10_000 as never);
beforeEach(async () => {
	bodies = [];
	answer = null;
	now = 0;
	troubles = [];
	server = createServer(async (request, response) => {
		let body = '';
		for await (const chunk of request) body += chunk;
		bodies.push(body);
		if (answer) response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
	});
	await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
	url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
	vi.restoreAllMocks();
	server.closeAllConnections();
	await new Promise((done) => server.close(done));
});
const open = () => openRedis({ url, token: 'hush', now: () => now, onTrouble: (text) => troubles.push(text) });

describe('openRedis() (F21)', () => {
	test('answers what Redis has, in order, with one request a call', async () => {
		patient();
		const redis = open();
		answer = list('one', null, '{"a":1}');
		expect(await redis.get(['a', 'b', 'c'])).toEqual(['one', null, '{"a":1}']);
		answer = fine('OK', 'OK');
		const entries = [
			{ key: 'a', value: '1', seconds: 5 },
			{ key: 'b', value: '{}', seconds: 6 },
		];
		expect(await redis.set(entries)).toBe(true);
		answer = { status: 200, body: '{"result":2}' };
		expect(await redis.run('return 2', { keys: ['k'], args: ['x'] })).toBe(2);
		expect(bodies.map((body) => JSON.parse(body))).toEqual([
			['mget', 'a', 'b', 'c'],
			[
				['set', 'a', '1', 'ex', 5],
				['set', 'b', '{}', 'ex', 6],
			],
			['eval', 'return 2', 1, 'k', 'x'],
		]);
		expect([await redis.get([]), await redis.set([]), bodies.length]).toEqual([[], true, 3]);
		expect(redis.counts).toEqual({ asked: 3, failed: 0, skipped: 0 });
	});

	test.each<[string, typeof answer, RegExp]>([
		['never answers', null, /^no answer within 50 ms$/],
		['refuses the token', { status: 401, body: '{"error":"WRONGPASS another token"}' }, /^[^,]*WRONGPASS another token$/],
		['answers no JSON', { status: 200, body: '<html>' }, /./],
		['fails without words', { status: 500, body: '' }, /./],
		['answers another list', list('one', 'two'), /no list of as many values/],
		['answers an object', { status: 200, body: '{}' }, /./],
	])('one that %s makes a call "not known"; after five of them nothing is sent until a probe goes well', async (_, broken, words) => {
		const redis = open();
		if (broken) patient();
		answer = broken;
		for (let i = 0; i < limits.redis_failures_max; i++) {
			expect(redis.behind()).toEqual([]);
			expect(await redis.get(['secret'])).toBeUndefined();
		}
		expect(bodies.length).toBe(limits.redis_failures_max); // one attempt each
		expect(troubles.length).toBe(1);
		const [{ what, cause } = { what: '', cause: '' }] = redis.behind();
		expect([what, words.test(cause), cause.includes('secret')]).toEqual(['Redis', true, false]);
		expect(await Promise.all([redis.get(['a']), redis.set([{ key: 'a', value: '1', seconds: 1 }]), redis.run('', { keys: [], args: [] })])).toEqual([
			undefined,
			false,
			undefined,
		]);
		expect([bodies.length, redis.counts.skipped]).toEqual([limits.redis_failures_max, 3]);
		now += limits.redis_open_ms;
		expect(await Promise.all([redis.get(['a']), redis.get(['a'])])).toEqual([undefined, undefined]);
		expect(bodies.length).toBe(limits.redis_failures_max + 1); // the probe alone
		now += limits.redis_open_ms;
		patient();
		answer = list('one');
		expect(await redis.get(['a'])).toEqual(['one']);
		expect([redis.open(), redis.behind(), troubles.length]).toEqual([false, [], 1]);
	});

	test('a command that Redis refuses makes the whole pipeline "not known"', async () => {
		patient();
		const redis = open();
		answer = { status: 200, body: '[{"result":"OK"},{"error":"OOM command not allowed"}]' };
		const entry = { key: 'a', value: '1', seconds: 1 };
		expect(await redis.set([entry, entry])).toBe(false);
		answer = fine('OK');
		expect(await redis.set([entry, entry])).toBe(false);
	});

	test('nobody at all behind the address', async () => {
		patient();
		await new Promise((done) => server.close(done));
		const redis = open();
		for (let i = 0; i < 7; i++) expect(await redis.get(['a'])).toBeUndefined();
		expect(redis.counts).toEqual({ asked: 5, failed: 5, skipped: 2 });
		expect(redis.behind()[0]?.cause).toContain('ECONNREFUSED');
		await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
	});
});

test('F21: events are taken and frames go on while Redis never answers', async () => {
	const river = freshLog();
	const ids = openDoorIds(river.path, { now: 1 });
	const redis = open();
	const shared = openSharedIds({ redis, pepper: 'pepper' });
	const intake = openIntake({
		log: river.log,
		ids,
		shared,
		catalogue: fakeCatalogue(['r-0']),
		clock: settableClock(1),
		pepper: 'p',
		events_per_minute: undefined,
	});
	const mirror = openFeatureMirror({ redis, flush_ms: 1 });
	const send = async (event_id: string) =>
		(await intake.take([{ value: { event_id, event_type: 'booking', region_id: 'r-0' } }], { traceparent: undefined })).map(({ status }) => status);
	for (let i = 0; i < 8; i++) {
		mirror.put([{ shard: 0, epoch: 1, seq: i + 1, as_of: 1, now: null, whole: false, regions: [{ region_id: 'r-0', values: [], busy_drivers: null }] }]);
		expect(await send(`e-${i}`)).toEqual(['accepted']);
		expect(await send(`e-${i}`)).toEqual(['duplicate']); // its own memory
	}
	await mirror.close();
	await intake.close();
	await shared.close();
	expect(redis.open()).toBe(true);
	expect(bodies.length).toBe(redis.counts.asked);
	expect(mirror.counts).toMatchObject({ written: 0 });
	ids.close();
	await river.log.close();
	river.remove();
});
