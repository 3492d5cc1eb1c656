import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMetrics } from '#control-plane/metrics.ts';
import { eventsAnswer } from '#schemas/event.ts';
import { limits } from '#schemas/limits.ts';
import { problemDocument } from '#schemas/problem.ts';
import { roles } from '#schemas/role.ts';
import { eventTopics } from '#schemas/topic.ts';
import { decode } from '../avro/codec.ts';
import { openPartitionWorker } from '../features/partition-worker.ts';
import { everything, fakeCatalogue, LATENESS_MS, START, settableClock } from '../features/river.test-support.ts';
import { openEmbeddedLog } from '../log/embedded-log.ts';
import { type EventLog, LogUnavailable } from '../log/event-log.ts';
import { openDoorIds } from './door-ids.ts';
import { createIngestDoor } from './ingest-door.ts';
import { openIntake } from './intake.ts';

// The producers' door as a whole: door, intake, memory of ids and the embedded log. A token is its role.

const EVENTS = '/api/v1/events';
let path: string;
let log: ReturnType<typeof openEmbeddedLog>;
let ids: ReturnType<typeof openDoorIds>;
let clock: ReturnType<typeof settableClock>;
let catalogue: ReturnType<typeof fakeCatalogue>;
let troubles: string[];

beforeEach(() => {
	path = mkdtempSync(join(tmpdir(), 'surgecast-door-'));
	log = openEmbeddedLog(path, { partitions: 1 });
	clock = settableClock(START);
	ids = openDoorIds(path, { now: START });
	catalogue = fakeCatalogue(['sg-central', 'sg-airport']);
	troubles = [];
});
afterEach(async () => {
	vi.useRealTimers();
	ids.close();
	await log.close();
	rmSync(path, { recursive: true, force: true });
});

function open(options: { log?: EventLog; events_per_minute?: number } = {}) {
	const own = options.log ?? log;
	const intake = openIntake({
		log: own,
		ids,
		catalogue,
		clock,
		pepper: 'pepper',
		events_per_minute: options.events_per_minute,
		onTrouble: (text) => troubles.push(text),
	});
	const app = createIngestDoor({
		intake,
		log: own,
		clock,
		authenticate: async (header) => (header ? { subject: 's', role: header.replace('Bearer ', '') } : null),
		metrics: createMetrics(),
		readiness: () => null,
	});
	/** A call; a body that is no text is sent as JSON. */
	async function post(
		body: unknown,
		more: { role?: string | null; type?: string | null; path?: string; method?: string; headers?: Record<string, string> } = {},
	) {
		const { role = 'producer', type = 'application/json', method = 'POST' } = more;
		const headers = { ...(role ? { authorization: `Bearer ${role}` } : {}), ...(type ? { 'content-type': type } : {}), ...more.headers };
		const text = typeof body === 'string' ? body : JSON.stringify(body);
		const response = await app.request(more.path ?? EVENTS, { method, headers, ...(method === 'POST' ? { body: text } : {}) });
		// biome-ignore lint/suspicious/noExplicitAny: whatever the door answers
		const json = (await response.json().catch(() => null)) as any;
		if (response.status >= 400) expect(problemDocument.safeParse(json).success, JSON.stringify(json)).toBe(true);
		else if (response.status > 200 && !more.path) expect(eventsAnswer.safeParse(json).success, JSON.stringify(json)).toBe(true);
		return { status: response.status, json, headers: response.headers };
	}
	return { app, intake, post };
}
const booking = (more: Record<string, unknown> = {}) => ({ event_type: 'booking', region_id: 'sg-central', ...more });
const stored = async () => (await Promise.all(eventTopics.map((topic) => everything(log, topic)))).flat().map(({ value }) => decode(value));
const statuses = (json: { results: { status: string }[] }) => json.results.map(({ status }) => status);

describe('POST /api/v1/events', () => {
	test('takes a single event: 202, durable, stamped, with a new id where none is given', async () => {
		const { post } = open();
		const { status, json } = await post(booking({ timestamp: '2026-01-11T09:59:59Z' }));
		expect(status).toBe(202);
		expect(json).toMatchObject({ accepted: 1, results: [{ status: 'accepted' }] });
		expect(await stored()).toMatchObject([
			{ kind: 'event', event: { event_id: json.results[0].event_id, timestamp: START - 1000, ingested_at: START, user_hash: null, metadata: null } },
		]);
		await post(booking({ idempotency_key: 'k', product_type: 'p', metadata: { a: 1 } }));
		expect((await stored())[1]).toMatchObject({ event: { event_id: 'k', timestamp: START, product_type: 'p', metadata: '{"a":1}' } });
	});

	test('B6: answers an array in order: 202 when all are accepted or duplicate, else 207, and keeps the good ones around item 57', async () => {
		const { post } = open();
		const all = await post([booking({ event_id: 'a' }), booking({ event_id: 'b' }), booking({ event_id: 'a' })]);
		expect([all.status, all.json.accepted, statuses(all.json)]).toEqual([202, 2, ['accepted', 'accepted', 'duplicate']]);
		const items = Array.from({ length: 100 }, (_, i) => (i === 57 ? booking({ event_id: 'bad', user_id: '' }) : booking({ event_id: `n-${i}` })));
		const mixed = await post(items);
		expect([mixed.status, mixed.json.accepted]).toEqual([207, 99]);
		expect(mixed.json.results[57]).toMatchObject({ event_id: null, status: 'invalid', errors: [{ path: '/user_id' }] });
		expect((await stored()).length).toBe(101);
	});

	test('answers duplicate and conflict by the rules: alias, key order, missing timestamp, instants by value', async () => {
		const { post } = open();
		const first = booking({ event_id: 'a', timestamp: '2026-01-11T10:00:00Z', metadata: { x: 1, y: 2 } });
		expect((await post(first)).status).toBe(202);
		for (const same of [
			first,
			{ ...first, event_id: undefined, idempotency_key: 'a' },
			{ ...first, timestamp: '2026-01-11T18:00:00.000+08:00' },
			{ ...first, timestamp: undefined },
			{ ...first, metadata: { y: 2, x: 1 } },
		]) {
			const { status, json } = await post(same);
			expect([status, json.accepted, json.results[0].status]).toEqual([202, 0, 'duplicate']);
		}
		for (const other of [
			{ ...first, timestamp: '2026-01-11T10:00:00.001Z' },
			{ ...first, metadata: {} },
			{ ...first, event_type: 'search' },
			{ ...first, region_id: 'sg-airport' },
		]) {
			const { status, json } = await post(other);
			expect([status, json.code]).toEqual([409, 'conflict']);
		}
		const batch = await post([first, { ...first, user_id: 'u' }]);
		expect([batch.status, statuses(batch.json)]).toEqual([207, ['duplicate', 'conflict']]);
		expect((await stored()).length).toBe(1);
	});

	test('tells twins within a batch and between two calls at once apart: exactly one is accepted', async () => {
		const { post } = open();
		const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => post(booking({ event_id: 'one', ...(i === 7 ? { user_id: 'u' } : {}) }))));
		expect(answers.filter(({ json }) => json.accepted === 1)).toHaveLength(1);
		expect(answers.map(({ status }) => status).sort()).toEqual([...Array(19).fill(202), 409]);
		const twins = await post([booking({ event_id: 't' }), booking({ event_id: 't' }), booking({ event_id: 't', user_id: 'u' })]);
		expect(statuses(twins.json)).toEqual(['accepted', 'duplicate', 'conflict']);
		expect((await stored()).length).toBe(2);
	});

	test('answers a duplicate across a restart of the door', async () => {
		await open().post(booking({ event_id: 'a' }));
		ids.close();
		ids = openDoorIds(path, { now: START });
		expect((await open().post(booking({ event_id: 'a' }))).json.results[0].status).toBe('duplicate');
		expect((await open().post(booking({ event_id: 'a', user_id: 'u' }))).status).toBe(409);
	});

	test('accepts a resend once more after dying between append and remember, and the fold counts it once', async () => {
		const dying = { ...ids, remember: () => undefined };
		const kept = ids;
		ids = dying;
		expect((await open().post(booking({ event_id: 'a' }))).json.accepted).toBe(1);
		ids = kept;
		clock.at += 1000;
		expect((await open().post(booking({ event_id: 'a' }))).json.accepted).toBe(1);
		const counts = { folded: 0, duplicates: 0, late: 0, dead: 0, finals: 0 };
		const worker = await openPartitionWorker(0, { log, checkpoints: log.checkpoints, catalogue, clock, lateness_ms: LATENESS_MS, counts });
		while (await worker.look());
		expect(counts).toMatchObject({ folded: 1, duplicates: 1 });
	});

	test('answers 2xx for what the log has even when its id cannot be remembered', async () => {
		const kept = ids;
		ids = {
			...kept,
			remember: () => {
				throw new Error('disk full');
			},
		};
		expect((await open().post(booking({ event_id: 'a' }))).status).toBe(202);
		ids = kept;
		expect(troubles).toEqual(['The door does not remember 1 event ids: disk full']);
	});

	test('F16: answers 503 with Retry-After when the log takes nothing, says so in readyz, keeps nothing half, reads on, and recovers', async () => {
		let full = true;
		const fragile: EventLog = { ...log, append: async (...all) => (full ? Promise.reject(new LogUnavailable('disk full')) : log.append(...all)) };
		const { post, app } = open({ log: fragile });
		const ready = async () => {
			const answer = await app.request('/readyz');
			return { status: answer.status, detail: ((await answer.json()) as { detail?: string }).detail };
		};
		expect((await ready()).status).toBe(200);
		const refused = await post([booking({ event_id: 'a' }), booking({ event_id: 'b' })]);
		expect([refused.status, refused.json.code, refused.headers.get('retry-after')]).toEqual([503, 'unavailable', '1']);
		expect(await ready()).toEqual({ status: 503, detail: expect.stringMatching(/^The log takes nothing since \d{4}-.*Z: disk full; 0 events wait\.$/) });
		for (const at of ['/healthz', '/metrics', '/openapi.json']) expect((await app.request(at)).status, at).toBe(200);
		expect(await (await app.request('/metrics')).text()).toContain('surgecast_log_refusing 1');
		full = false;
		expect((await post([booking({ event_id: 'a' }), booking({ event_id: 'b' })])).json.accepted).toBe(2);
		expect((await stored()).length).toBe(2);
		expect((await ready()).status).toBe(200);
	});

	test('readyz asks for another try when the log refused long ago and nobody has tried since', async () => {
		vi.useFakeTimers({ now: START, toFake: ['Date'] });
		const { post, app } = open({ log: { ...log, append: async () => Promise.reject(new LogUnavailable('disk full')) } });
		await post(booking());
		vi.setSystemTime(START + limits.log_retry_ms);
		expect((await app.request('/readyz')).status).toBe(503);
		vi.setSystemTime(START + limits.log_retry_ms + 1);
		expect((await app.request('/readyz')).status).toBe(200);
		await post(booking());
		expect((await app.request('/readyz')).status).toBe(503);
	});

	test('answers 503 when more events wait than may', async () => {
		let go: () => void = () => undefined;
		const gate = new Promise<void>((resolve) => {
			go = resolve;
		});
		const slow: EventLog = { ...log, append: (...all) => gate.then(() => log.append(...all)) };
		const { post, intake } = open({ log: slow });
		const batch = Array.from({ length: 1000 }, () => booking());
		const first = post(booking()); // under way; what follows waits
		await new Promise((resolve) => setTimeout(resolve, 20));
		const waiting = Array.from({ length: limits.ingest_waiting_max / 1000 }, () => post(batch));
		await vi.waitFor(async () => expect((await post(booking())).status).toBe(503), { timeout: 10_000 });
		go();
		expect((await Promise.all([first, ...waiting])).every(({ status }) => status === 202)).toBe(true);
		await intake.close();
	}, 30_000);

	test('refuses to append long after stamping', async () => {
		let before: number | undefined;
		const watched: EventLog = {
			...log,
			append: async (records, options) => {
				before = options?.before;
				await log.append(records, options);
			},
		};
		await open({ log: watched }).post(booking());
		expect(before! - Date.now()).toBeGreaterThan(0);
		expect(before! - Date.now()).toBeLessThan(limits.stamp_to_append_ms_max);
	});

	test('never stamps backwards', async () => {
		const { post } = open();
		await post(booking());
		clock.at -= 5000;
		await post(booking());
		expect((await stored()).map((one) => one.kind === 'event' && one.event.ingested_at)).toEqual([START, START]);
	});

	test('limits the events of a user by the minute: 429 with Retry-After, rate_limited in a batch, none without an id', async () => {
		vi.useFakeTimers({ now: START + 30_000, toFake: ['Date'] });
		const { post } = open({ events_per_minute: 2 });
		const own = booking({ user_id: 'u-1' });
		expect(statuses((await post([own, own, own, booking({ user_id: 'u-2' }), booking()])).json)).toEqual([
			'accepted',
			'accepted',
			'rate_limited',
			'accepted',
			'accepted',
		]);
		const refused = await post(own);
		expect([refused.status, refused.json.code, refused.headers.get('retry-after')]).toEqual([429, 'rate_limited', '30']);
		vi.setSystemTime(START + 60_000);
		expect((await post(own)).status).toBe(202);
	});

	test('answers unknown_region as invalid, and knows a region that was just made', async () => {
		const { post } = open();
		const refused = await post(booking({ event_id: 'x', region_id: 'nowhere' }));
		expect([refused.status, refused.json.code, refused.json.errors[0].path]).toEqual([422, 'unknown_region', '/region_id']);
		const batch = await post([booking({ event_id: 'x', region_id: 'nowhere' }), booking()]);
		expect(batch.status).toBe(207);
		expect(batch.json.results[0]).toMatchObject({ event_id: 'x', status: 'invalid', code: 'unknown_region' });
		catalogue.add('new-town');
		expect((await post(booking({ region_id: 'new-town' }))).status).toBe(202);
		catalogue.fail = new Error('no database');
		expect((await post([booking({ region_id: 'elsewhere' }), booking()])).status).toBe(207);
	});

	test('takes ndjson line by line: empty lines and CRLF are nothing, a malformed line is an invalid item', async () => {
		const { post } = open();
		const line = (id: string) => JSON.stringify(booking({ event_id: id }));
		const type = 'application/x-ndjson; charset=utf-8';
		const good = await post(`\n${line('a')}\r\n\r\n  \n${line('b')}`, { type });
		expect([good.status, statuses(good.json)]).toEqual([202, ['accepted', 'accepted']]);
		const mixed = await post(`${line('c')}\n{"event_id":\n5\n[]\n${line('a')}\n`, { type });
		expect([mixed.status, statuses(mixed.json)]).toEqual([207, ['accepted', 'invalid', 'invalid', 'invalid', 'duplicate']]);
		expect(mixed.json.results[1]).toMatchObject({ event_id: null, errors: [{ path: '' }] });
		const one = await post(line('d'), { type });
		expect([one.status, one.json.results]).toMatchObject([202, [{ event_id: 'd' }]]);
		expect((await post('\n \r\n', { type })).status).toBe(422);
		expect((await post(`${line('x')}\n`.repeat(1001), { type })).status).toBe(413);
	});

	test('holds no raw id of a user or driver in any stored byte (invariant 9)', async () => {
		const { post } = open();
		const user = 'user-Jane-Roe-4711';
		const driver = 'driver-John-Doe-0815';
		await post([
			booking({ user_id: user, event_id: 'a' }),
			booking({ user_id: user, event_id: 'b' }),
			{ event_type: 'driver_status', region_id: 'sg-central', driver_id: driver, status: 'busy' },
		]);
		const events = (await stored()).flatMap((one) => (one.kind === 'event' ? [one.event] : []));
		expect(events[0]).toMatchObject({ user_hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
		expect((events[0] as { user_hash: string }).user_hash).toBe((events[1] as { user_hash: string }).user_hash);
		ids.close();
		await log.close();
		const bytes = Buffer.concat(readdirSync(path).map((file) => readFileSync(join(path, file))));
		expect(bytes.length).toBeGreaterThan(1000);
		for (const id of [user, driver, 'Jane', 'John']) expect(bytes.includes(id), id).toBe(false);
		log = openEmbeddedLog(path, { partitions: 1 });
		ids = openDoorIds(path, { now: START });
	});
});

describe('bad input at the door', () => {
	const cases: [string, string, { type?: string | null; headers?: Record<string, string> }, number, string | undefined][] = [
		['B1 30,000-deep JSON', '['.repeat(30_000) + ']'.repeat(30_000), {}, 207, ''],
		['B1 30,000-deep object', `${'{"a":'.repeat(30_000)}1${'}'.repeat(30_000)}`, {}, 422, ''],
		['B2 __proto__', '{"event_type":"booking","region_id":"sg-central","__proto__":{"region_id":"x"}}', {}, 422, '/__proto__'],
		['B2 __proto__ in metadata', '{"event_type":"booking","region_id":"sg-central","metadata":{"a":{"__proto__":1}}}', {}, 422, '/metadata/a/__proto__'],
		['B2 constructor.prototype', '{"event_type":"booking","region_id":"sg-central","constructor":{"prototype":1}}', {}, 422, '/constructor'],
		['B4 1e400', '{"event_type":"traffic","region_id":"sg-central","traffic_index":1e400}', {}, 422, '/traffic_index'],
		[
			'B4 an integer over 2^53',
			'{"event_type":"supply_snapshot","region_id":"sg-central","available_drivers":9007199254740993}',
			{},
			422,
			'/available_drivers',
		],
		['B4 a lone surrogate', '{"event_type":"booking","region_id":"sg-central","user_id":"\\ud800"}', {}, 422, '/user_id'],
		['B4 NUL', '{"event_type":"booking","region_id":"sg-central","user_id":"a\\u0000"}', {}, 422, '/user_id'],
		['B4 a 64 KB id', JSON.stringify(booking({ event_id: 'x'.repeat(65_536) })), {}, 422, '/event_id'],
		['metadata of 9 levels', `{"event_type":"booking","region_id":"sg-central","metadata":${'{"a":'.repeat(8)}{}${'}'.repeat(8)}}`, {}, 422, '/metadata'],
		['metadata of 17 KB', JSON.stringify(booking({ metadata: { a: 'x'.repeat(17_000) } })), {}, 422, '/metadata'],
		['an unknown field with a slash', '{"event_type":"booking","region_id":"sg-central","a/b":1}', {}, 422, '/a~1b'],
		['a number', '5', {}, 422, ''],
		['null', 'null', {}, 422, ''],
		['no events', '[]', {}, 422, ''],
		['B6 1,001 events', JSON.stringify(Array.from({ length: 1001 }, () => 1)), {}, 413, undefined],
		['B1 more than 1 MiB', JSON.stringify('x'.repeat(1024 * 1024)), {}, 413, undefined],
		['B1 a body announced too large', '{}', { headers: { 'content-length': '99999999' } }, 413, undefined],
		['B1 gzip', '{}', { headers: { 'content-encoding': 'gzip' } }, 415, undefined],
		['B3 no content type', '{}', { type: null }, 415, undefined],
		['B3 another content type', '{}', { type: 'text/xml' }, 415, undefined],
		['B3 half a document', '{"event_type":', {}, 400, undefined],
		['B3 nothing', '', {}, 400, undefined],
	];
	test.each(cases)('%s', async (_, body, more, status, errorPath) => {
		const { post } = open();
		const answer = await post(body, more);
		expect(answer.status).toBe(status);
		const errors = answer.json.errors ?? answer.json.results?.[0].errors;
		if (errorPath !== undefined) expect(errors[0].path).toBe(errorPath);
		expect(JSON.stringify(answer.json)).not.toContain(process.cwd());
		expect(await stored()).toEqual([]);
	});

	test('B4: an emoji is an id of an event, and none of a region', async () => {
		const { post } = open();
		expect((await post(booking({ event_id: '😀' }))).json.results[0].event_id).toBe('😀');
		expect((await post(booking({ region_id: '😀' }))).json.errors[0].path).toBe('/region_id');
	});

	test('the last of a key given twice counts', async () => {
		expect((await open().post('{"event_type":"search","event_type":"booking","region_id":"sg-central"}')).status).toBe(202);
		expect(await stored()).toMatchObject([{ event: { event_type: 'booking' } }]);
	});

	test('error paths of a batch are relative to the item', async () => {
		const { json } = await open().post([booking(), booking({ timestamp: 'now', surprise: 1 })]);
		expect(json.results[1].errors.map(({ path: at }: { path: string }) => at).sort()).toEqual(['/surprise', '/timestamp']);
	});
});

describe('roles at the door', () => {
	test('only a producer may send events', async () => {
		const { post } = open();
		expect((await post(booking(), { role: null })).status).toBe(401);
		for (const role of [...roles, 'service']) expect((await post(booking(), { role })).status, role).toBe(role === 'producer' ? 202 : 403);
	});

	test('only role service may send decisions, and they are in the log when it is 202', async () => {
		const { post } = open();
		const batch = {
			snapshots: [{ snapshot_id: 's', region: { region_id: 'sg-central' } }],
			decisions: [
				{
					decision_id: 'd',
					region_id: 'sg-central',
					decided_at: START,
					isolate: 'i',
					sequence: 1,
					answer: {
						product_type: 'p',
						status: 'priced',
						amount_minor: 1,
						currency: 'SGD',
						surge_multiplier: 1,
						versions: { release: 1, rule_set: 1, model: null },
					},
					inputs: { snapshot_id: 's', user_hash: null },
				},
			],
		};
		const to = { path: '/internal/decisions', type: 'application/x-ndjson' };
		for (const role of roles) expect((await post(`${JSON.stringify(batch)}\n`, { ...to, role })).status, role).toBe(403);
		expect(await post(`${JSON.stringify(batch)}\n\n`, { ...to, role: 'service' })).toMatchObject({ status: 202, json: { decisions: 1 } });
		expect((await everything(log, 'pricing-decisions')).map(({ value }) => decode(value).kind)).toEqual(['snapshot', 'decision']);
		for (const bad of ['{}\n', '5', '{"decisions":[{}],"snapshots":[]}']) expect((await post(bad, { ...to, role: 'service' })).status, bad).toBe(422);
		expect((await post('{', { ...to, role: 'service' })).status).toBe(400);
		expect(await everything(log, 'pricing-decisions')).toHaveLength(2);
	});

	test('the four common calls need no token, others do not exist', async () => {
		const { post, app } = open();
		for (const at of ['/healthz', '/readyz', '/metrics', '/openapi.json']) expect((await app.request(at)).status, at).toBe(200);
		expect((await post('', { method: 'GET' })).status).toBe(405);
		expect((await post('{}', { path: '/api/v1/nothing' })).status).toBe(404);
	});
});
