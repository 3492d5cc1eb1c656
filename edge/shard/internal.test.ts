import { reset } from 'cloudflare:test';
import { env, exports } from 'cloudflare:workers';
import { SignJWT } from 'jose';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { FrameAnswer } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import { type Problem, problemDocument } from '#schemas/problem.ts';
import { clientToken, entry, frame, newRegion, partitions, serviceToken, sha256, signedRelease, testKeys, vector } from '../test-support.ts';
import type { ShardEnvironment } from './environment.ts';
import { internal } from './internal.ts';
import type { ShardReport } from './shard.ts';

const environment = env as unknown as ShardEnvironment;
const door = (exports as unknown as { default: Fetcher }).default;
let token = '';
beforeAll(async () => {
	token = await serviceToken();
});
afterEach(async () => {
	vi.restoreAllMocks();
	await reset();
});

type Sent = { token?: string | null; body?: unknown; raw?: BodyInit; headers?: Record<string, string>; env?: ShardEnvironment };
function call(method: string, path: string, options: Sent = {}): Promise<Response> {
	const { body, raw, headers, token: given = token } = options;
	const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body));
	const request = new Request(`http://edge/internal/${path}`, {
		method,
		headers: {
			...(given === null ? {} : { authorization: given.includes(' ') ? given : `Bearer ${given}` }),
			...(sent === undefined ? {} : { 'content-type': 'application/json' }),
			...headers,
		},
		...(sent === undefined ? {} : { body: sent }),
	});
	return options.env ? internal(request, options.env) : door.fetch(request);
}
async function refused(answer: Promise<Response>, status: number, code: string): Promise<Problem> {
	const response = await answer;
	const problem = (await response.json()) as Problem;
	expect([response.status, problem.code]).toEqual([status, code]);
	expect(response.headers.get('content-type')).toBe('application/problem+json');
	expect(problemDocument.safeParse(problem).success).toBe(true);
	if (status === 503) expect(response.headers.get('retry-after')).toBe('1');
	return problem;
}

describe('F31: internal() asks for a token of role service', () => {
	const unsigned = (header: object, claims: object) => [header, claims].map((part) => btoa(JSON.stringify(part)).replaceAll('=', '')).join('.');
	const claims = () => ({ iss: 'surgecast-service', aud: 'surgecast', sub: 'x', role: 'service', exp: Math.floor(Date.now() / 1000) + 600 });
	const cases: [name: string, token: () => Promise<string | null> | string | null][] = [
		['none', () => null],
		['no token at all', () => 'Bearer '],
		['another scheme', async () => `Basic ${await serviceToken()}`],
		['not a token', () => 'a.b.c'],
		['a client token', () => clientToken()],
		['a client token that claims role service', () => clientToken({ claims: { role: 'service' } })],
		['the clients issuer, signed by a service', () => serviceToken({ claims: { iss: 'surgecast-local' } })],
		['expired', () => serviceToken({ ttl: -limits.token_leeway_seconds - 1 })],
		['without exp', () => serviceToken({ claims: { exp: undefined } })],
		['not yet valid', () => serviceToken({ claims: { nbf: Math.floor(Date.now() / 1000) + 60 } })],
		['another audience', () => serviceToken({ claims: { aud: 'other' } })],
		['another role', () => serviceToken({ claims: { role: 'admin' } })],
		['another kid', () => serviceToken({ header: { kid: 'stream' } })],
		['an unknown kid', () => serviceToken({ header: { kid: 'nobody' } })],
		['alg none', () => `${unsigned({ alg: 'none' }, claims())}.x`],
		[
			'HS256 by the public key',
			async () =>
				new SignJWT(claims())
					.setProtectedHeader({ alg: 'HS256', kid: 'control-plane' })
					.sign(new TextEncoder().encode(JSON.stringify(testKeys.controlPlane.public))),
		],
		['100 KB', async () => `${await serviceToken()}${'a'.repeat(100_000)}`],
	];
	it.each(cases)('%s: 401', async (_, make) => {
		const problem = await refused(call('GET', 'shards/0', { token: await make(), env: environment }), 401, 'unauthenticated');
		expect(problem.detail).toBe('A token of role service is wanted');
	});

	it('a token verified before costs no second signature check', async () => {
		const fresh = await serviceToken({ claims: { jti: crypto.randomUUID() } });
		const verify = vi.spyOn(crypto.subtle, 'verify');
		for (let i = 0; i < 3; i++) expect((await call('GET', 'shards/0', { token: fresh, env: environment })).status).toBe(200);
		expect(verify).toHaveBeenCalledTimes(1);
	});

	it('every kind of process has a key of its own', async () => {
		for (const [key, kid] of [
			['stream', 'stream'],
			['edge', 'edge'],
		] as const)
			expect((await call('GET', 'shards/0', { token: await serviceToken({ key, header: { kid } }) })).status).toBe(200);
	});
});

describe('internal() refuses', () => {
	it('R1 features that are no numbers', async () => {
		const id = newRegion(0);
		const raw = JSON.stringify({ frames: [frame(0, { seq: 1 }, { regions: [{ region_id: id, values: [0.125, ...vector().slice(1)] }] })] });
		for (const number of ['1e400', '-1e400', '"1"', 'true', '[]'])
			expect((await refused(call('POST', 'frames', { raw: raw.replace('0.125', number) }), 422, 'invalid')).errors?.[0]?.path).toBe(
				'/frames/0/regions/0/values',
			);
	});

	it.each(['frames', 'releases', 'entries'])('%s that is not JSON, does not fit, or is compressed or of another type', async (path) => {
		await refused(call('POST', path, { raw: '{"frames":' }), 400, 'malformed_json');
		const { errors } = await refused(call('POST', path, { body: { other: 1 } }), 422, 'invalid');
		expect(errors?.map((error) => error.path)).toContain('/other');
		await refused(call('POST', path, { body: {}, headers: { 'content-encoding': 'gzip' } }), 415, 'unsupported_media_type');
		await refused(call('POST', path, { body: {}, headers: { 'content-type': 'text/plain' } }), 415, 'unsupported_media_type');
	});

	it('a body over the limit, by its declared length and while it streams', async () => {
		const declared = { 'content-length': String(limits.internal_body_bytes_max + 1) };
		await refused(call('POST', 'frames', { body: {}, headers: declared, env: environment }), 413, 'too_large');
		await refused(call('PUT', 'kv/release', { raw: 'x', headers: declared, env: environment }), 413, 'too_large');
		let pulled = 0;
		const endless = new ReadableStream({
			pull(controller) {
				pulled += 1;
				controller.enqueue(new Uint8Array(1 << 20));
			},
		});
		await refused(call('POST', 'frames', { raw: endless, env: environment }), 413, 'too_large');
		expect(pulled).toBeLessThan(20);
	});

	it.each([
		['GET', 'shards/8'],
		['GET', 'shards/'],
		['GET', 'outboxes/8'],
		['GET', 'outboxes/x'],
		['GET', 'outboxes/'],
		['GET', 'shards/-1'],
		['GET', 'shards/1e0'],
		['GET', 'nothing'],
		['DELETE', 'frames'],
		['PUT', 'kv/else'],
		['PUT', 'kv/catalogue/x'],
		['GET', `kv/model/${'A'.repeat(64)}`],
		['GET', `kv/model/${'a'.repeat(64)}`],
	])('%s %s: 404', async (method, path) => {
		await refused(call(method, path, method === 'PUT' ? { raw: 'x' } : {}), 404, 'not_found');
	});

	it('an entry of another shard, with its place', async () => {
		const id = newRegion(3);
		const { errors } = await refused(call('POST', 'entries', { body: { shard: 4, entries: [entry(newRegion(4)), entry(id)] } }), 422, 'invalid');
		expect(errors?.[0]?.path).toBe('/entries/1/region_id');
		await refused(call('POST', 'entries', { body: { shard: 99, entries: [] } }), 404, 'not_found');
	});

	it('a region that the edge does not have', async () => {
		await refused(call('GET', `features/${newRegion()}`), 404, 'unknown_region');
	});
});

describe('internal() answers', () => {
	it('every call', async () => {
		const id = newRegion();
		const n = partition(id, partitions);
		const { pointer, bodies } = await signedRelease(5);
		const released = await (await call('POST', 'releases', { body: { pointer, bodies } })).json<{ acknowledged: { shard: number }[]; failed: unknown[] }>();
		expect(released.failed).toEqual([]);
		expect(released.acknowledged.map(({ shard }) => shard).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
		const named = await call('POST', 'releases', { body: { pointer, bodies, shards: [n] } });
		expect(await named.json()).toEqual({ acknowledged: [{ shard: n, release: 5 }], failed: [] });
		expect(await (await call('POST', 'entries', { body: { shard: n, entries: [entry(id, { version: 2 })] } })).json()).toEqual({ taken: 1 });
		const frames = [frame(n, { seq: 1 }, { regions: [id] }), frame(n, { seq: 2 }, { as_of: 77, regions: [id], whole: true })];
		const pushed = await (await call('POST', 'frames', { body: { frames } })).json();
		expect(pushed).toEqual({
			results: [
				{ shard: n, taken: true, epoch: 1, seq: 1, whole_wanted: true, unknown: [] },
				{ shard: n, taken: true, epoch: 1, seq: 2, whole_wanted: false, unknown: [] },
			],
		});
		expect(await (await call('GET', `shards/${n}`)).json()).toMatchObject({
			shard: n,
			release: 5,
			keys_version: 1,
			entries: { [id]: 2 },
			epoch: 1,
			seq: 2,
			as_of: 77,
		});
		expect(await (await call('GET', `features/${id}`)).json()).toMatchObject({ region_id: id, version: 2 ** 32 + 2, as_of: 77 });
	});

	it('what an Outbox has', async () => {
		await environment.OUTBOX.getByName('outbox/3').append('{}');
		expect(await (await call('GET', 'outboxes/3')).json()).toMatchObject({ refused: 0, turned_away: 0, kept: [], bytes: expect.any(Number) });
	});

	it('a release pushed to the same shard twice at once, once', async () => {
		const { pointer, bodies } = await signedRelease(1);
		expect(await (await call('POST', 'releases', { body: { pointer, bodies, shards: [2, 2, 2] } })).json()).toEqual({
			acknowledged: [{ shard: 2, release: 1 }],
			failed: [],
		});
	});

	it('F31 the same request again, which changes nothing', async () => {
		const id = newRegion(1);
		const older = await signedRelease(1);
		const newer = await signedRelease(2);
		const state = async () => (await call('GET', 'shards/1')).json<ShardReport>();
		const requests: [path: string, body: object][] = [
			['releases', { ...older, content: undefined, shards: [1] }],
			['entries', { shard: 1, entries: [entry(id, { version: 1 })] }],
			['frames', { frames: [frame(1, { seq: 1 }, { regions: [id], as_of: 1 })] }],
			['releases', { ...newer, content: undefined, shards: [1] }],
			['entries', { shard: 1, entries: [entry(id, { version: 2, frozen: true })] }],
			['frames', { frames: [frame(1, { seq: 2 }, { regions: [id], as_of: 2 }), frame(1, { seq: 3 }, { regions: [id], as_of: 3 })] }],
		];
		// The bytes and the token as they were sent: whoever saw them sends them again, in order and in reverse.
		const sent = requests.map(([path, body]) => [path, JSON.stringify(body)] as const);
		for (const [path, raw] of sent) expect((await call('POST', path, { raw })).status).toBe(200);
		const { refused: _, ...before } = await state();
		expect(before).toMatchObject({ release: 2, entries: { [id]: 2 }, epoch: 1, seq: 3, as_of: 3 });
		for (const [path, raw] of [...sent, ...sent.toReversed()]) expect((await call('POST', path, { raw })).status).toBe(200);
		const { refused, ...after } = await state();
		expect(after).toEqual(before);
		expect(refused).toEqual({ frames: 6, releases: 2, entries: 0 }); // an entry that is held already is a success
	});

	it('F30 frames in reverse, and those of a worker that lost its partition, each with the pair held', async () => {
		const id = newRegion(0);
		await call('POST', 'entries', { body: { shard: 0, entries: [entry(id)] } });
		const push = async (...frames: object[]) => (await (await call('POST', 'frames', { body: { frames } })).json<{ results: FrameAnswer[] }>()).results;
		const reversed = await push(frame(0, { epoch: 2, seq: 6 }, { regions: [id], as_of: 6 }), frame(0, { epoch: 2, seq: 5 }, { regions: [id], as_of: 5 }));
		expect(reversed.map(({ taken, epoch, seq }) => [taken, epoch, seq])).toEqual([
			[true, 2, 6],
			[false, 2, 6],
		]);
		const zombie = await push(frame(0, { epoch: 1, seq: 999 }, { regions: [id], as_of: 999 }));
		expect(zombie).toMatchObject([{ taken: false, epoch: 2, seq: 6 }]);
		const state = await (await call('GET', 'shards/0')).json<ShardReport>();
		expect(state).toMatchObject({ as_of: 6, refused: { frames: 2 } });
	});

	it('KV under the names that the edge uses, to the byte', async () => {
		const bytes = crypto.getRandomValues(new Uint8Array(5000));
		for (const key of ['release', 'catalogue/7', `rule-set/${await sha256('a')}`, `model/${await sha256('b')}`, `manifest/${await sha256('c')}`]) {
			expect(await (await call('PUT', `kv/${key}`, { raw: bytes })).json()).toEqual({ key });
			expect(new Uint8Array(await (await call('GET', `kv/${key}`)).arrayBuffer())).toEqual(bytes);
		}
	});

	it('F29 for the other shards where one fails, and 503 where that one was asked alone', async () => {
		const sick = 2;
		const failing = { takeFrame: fail, takeRelease: fail, takeEntries: fail, state: fail };
		async function fail(): Promise<never> {
			throw new Error('the object was reset');
		}
		const broken = {
			...environment,
			SHARD: { getByName: (name: string) => (name === `shard/${sick}` ? failing : environment.SHARD.getByName(name)) },
		} as unknown as ShardEnvironment;
		const frames = Array.from({ length: partitions }, (_, n) => frame(n, { seq: 1 }));
		const { results } = await (await call('POST', 'frames', { body: { frames }, env: broken })).json<{
			results: { shard: number; taken: boolean; error?: string }[];
		}>();
		expect(results.filter(({ taken }) => !taken)).toEqual([expect.objectContaining({ shard: sick, error: 'the object was reset' })]);
		expect(results).toHaveLength(partitions);
		const { pointer, bodies } = await signedRelease(1);
		const released = await (await call('POST', 'releases', { body: { pointer, bodies }, env: broken })).json<{ acknowledged: unknown[]; failed: unknown[] }>();
		expect(released.failed).toEqual([{ shard: sick, error: 'the object was reset' }]);
		expect(released.acknowledged).toHaveLength(partitions - 1);
		// The next push converges.
		expect(await (await call('POST', 'releases', { body: { pointer, bodies: {}, shards: [sick] } })).json()).toMatchObject({
			acknowledged: [],
			failed: [{ shard: sick }],
		});
		expect(await (await call('POST', 'releases', { body: { pointer, bodies, shards: [sick] } })).json()).toEqual({
			acknowledged: [{ shard: sick, release: 1 }],
			failed: [],
		});
		await refused(call('POST', 'entries', { body: { shard: sick, entries: [] }, env: broken }), 503, 'unavailable');
		await refused(call('GET', `shards/${sick}`, { env: broken }), 503, 'unavailable');
	});

	it('within its time where a shard hangs', async () => {
		vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
		const hung = { ...environment, SHARD: { getByName: () => ({ takeFrame: () => new Promise(() => undefined) }) } } as unknown as ShardEnvironment;
		const answer = call('POST', 'frames', { body: { frames: [frame(0, { seq: 1 }), frame(1, { seq: 1 })] }, env: hung });
		await vi.waitFor(() => expect(vi.getTimerCount()).toBe(2));
		vi.runAllTimers();
		const { results } = await (await answer).json<{ results: { error: string }[] }>();
		vi.useRealTimers();
		expect(results.map(({ error }) => error)).toEqual(Array(2).fill('no answer within 4000 ms'));
	});

	it('a problem that shows nothing of a defect', async () => {
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		const none = { ...environment, SHARD: undefined } as unknown as ShardEnvironment;
		const { detail } = await refused(call('GET', 'shards/0', { env: none }), 500, 'internal');
		expect(detail).not.toMatch(/undefined|edge\//);
	});
});
