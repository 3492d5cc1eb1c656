import { abortAllDurableObjects, evictDurableObject, reset, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { limits } from '#schemas/limits.ts';
import type { ShardEnvironment } from './environment.ts';
import type { Outbox } from './outbox.ts';

const { OUTBOX } = env as unknown as ShardEnvironment;
let number = 0;
const newOutbox = () => OUTBOX.getByName(`outbox/test-${++number}`);
type Stub = ReturnType<typeof newOutbox>;

/** Ingestion: answers each request in turn by what the list says, the last for ever, and keeps what was sent. */
function ingestion(...answers: (number | Error)[]) {
	const bodies: string[] = [];
	const requests: Request[] = [];
	vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
		const request = new Request(input, init);
		requests.push(request);
		bodies.push(String(init?.body));
		const answer = answers[Math.min(requests.length, answers.length) - 1]!;
		if (answer instanceof Error) throw answer;
		return new Response(null, { status: answer });
	});
	return { bodies, requests };
}
const waiting = async (outbox: Stub) => (await outbox.report()).waiting;
const alarmAt = (outbox: Stub) => runInDurableObject(outbox, (_, state) => state.storage.getAlarm());

/** Milliseconds until the alarm, a second too late at most. */
async function alarmIn(outbox: Stub): Promise<number> {
	return ((await alarmAt(outbox)) ?? Number.NaN) - Date.now();
}
// Alarms fire by themselves after 100 ms: a test that looks at one keeps the clock of its object still.
const still = () => vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 });

afterEach(async () => {
	vi.useRealTimers();
	vi.restoreAllMocks();
	await reset();
});

/** Ingestion refuses whatever has one of these texts in it, in the words of a problem document. */
function refusing(status: number, ...bad: string[]) {
	const taken: string[] = [];
	let asked = 0;
	const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined);
	vi.spyOn(globalThis, 'fetch').mockImplementation(async (_, init) => {
		asked += 1;
		const lines = String(init?.body).split('\n');
		if (lines.some((line) => bad.some((text) => line.includes(text))))
			return Response.json({ detail: 'A line is no batch of decisions', errors: [{ message: 'there is no such region' }] }, { status });
		taken.push(...lines);
		return new Response(null, { status: 202 });
	});
	return { taken, logged, asked: () => asked };
}
async function sendAll(outbox: Stub): Promise<void> {
	for (let i = 0; i < 500 && (await waiting(outbox)) > 0; i++) await runDurableObjectAlarm(outbox);
}

describe('Outbox', () => {
	it('keeps a batch, sends it by its alarm under a token of its own, and deletes it after a 2xx', async () => {
		const { bodies, requests } = ingestion(202);
		still();
		const outbox = newOutbox();
		await outbox.append('{"n":1}');
		await outbox.append('{"n":2}');
		expect(await waiting(outbox)).toBe(2);
		expect(await alarmIn(outbox)).toBe(limits.outbox_alarm_ms);
		expect(await runDurableObjectAlarm(outbox)).toBe(true);
		expect(await waiting(outbox)).toBe(0);
		expect(await alarmAt(outbox)).toBeNull();
		expect(bodies).toEqual(['{"n":1}\n{"n":2}']);
		const [request] = requests;
		expect([request?.method, request?.url, request?.headers.get('content-type')]).toEqual([
			'POST',
			'http://127.0.0.1:1/internal/decisions',
			'application/x-ndjson',
		]);
		const token = request?.headers.get('authorization')?.slice('Bearer '.length) ?? '';
		expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'EdDSA', kid: 'edge' });
		expect(decodeJwt(token)).toMatchObject({ iss: 'surgecast-service', aud: 'surgecast', role: 'service', sub: 'edge' });
	});

	it('keeps everything while ingestion refuses, comes back later and later, and never gives up', async () => {
		const { bodies } = ingestion(...Array.from({ length: 9 }, (_, n) => (n % 2 === 0 ? 503 : new Error('connection lost'))), 202);
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		still();
		const outbox = newOutbox();
		await outbox.append('{}');
		const delays: number[] = [];
		for (let i = 0; i < 9; i++) {
			expect(await runDurableObjectAlarm(outbox)).toBe(true); // does not throw: the runtime gives up after six failures
			expect(await waiting(outbox)).toBe(1);
			delays.push(await alarmIn(outbox));
		}
		expect(delays).toEqual([200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, limits.outbox_retry_ms_max]);
		expect(await runDurableObjectAlarm(outbox)).toBe(true);
		expect(await waiting(outbox)).toBe(0);
		expect(new Set(bodies)).toEqual(new Set(['{}']));
	});

	it('sends by itself, without another call', async () => {
		const { bodies } = ingestion(503, 202);
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		const outbox = newOutbox();
		await outbox.append('{"alone":true}');
		await vi.waitFor(async () => expect(await waiting(outbox)).toBe(0), { timeout: 10_000 });
		expect(bodies).toEqual(['{"alone":true}', '{"alone":true}']);
	});

	it('keeps what was appended through an eviction and a reset, with an alarm', async () => {
		ingestion(202);
		still();
		const outbox = newOutbox();
		await outbox.append('{"n":1}');
		await evictDurableObject(outbox);
		expect(await waiting(outbox)).toBe(1);
		await abortAllDurableObjects();
		const again = OUTBOX.get(outbox.id) as Stub;
		expect(await waiting(again)).toBe(1);
		expect(await alarmAt(again)).not.toBeNull();
		await runDurableObjectAlarm(again);
		expect(await waiting(again)).toBe(0);
	});

	it('sends again what ingestion took when it dies before it deletes: at least once', async () => {
		const { bodies } = ingestion(202);
		still();
		const outbox = newOutbox();
		await outbox.append('{"n":1}');
		// As far as the answer, and no further: the deletion fails as it does when the object is reset there.
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		await runInDurableObject(outbox, async (instance: Outbox, state) => {
			const { sql } = state.storage;
			sql.exec("CREATE TRIGGER dies BEFORE DELETE ON batch BEGIN SELECT RAISE(ABORT, 'dead'); END");
			await instance.alarm();
			sql.exec('DROP TRIGGER dies');
		});
		expect(await waiting(outbox)).toBe(1);
		await evictDurableObject(outbox);
		await runDurableObjectAlarm(outbox);
		expect(bodies).toEqual(['{"n":1}', '{"n":1}']);
		expect(await waiting(outbox)).toBe(0);
	});

	it('sends at most its bytes at once, oldest first, and the rest by the next alarm', async () => {
		const { bodies } = ingestion(202);
		still();
		const outbox = newOutbox();
		const batch = (n: number) => JSON.stringify({ n, pad: 'x'.repeat(900_000) });
		for (let n = 0; n < 7; n++) await outbox.append(batch(n));
		await runDurableObjectAlarm(outbox);
		expect(await waiting(outbox)).toBe(3);
		expect(await alarmIn(outbox)).toBe(limits.outbox_alarm_ms);
		await runDurableObjectAlarm(outbox);
		expect(await waiting(outbox)).toBe(0);
		const sent = bodies.flatMap((body) => body.split('\n').map((line) => (JSON.parse(line) as { n: number }).n));
		expect(sent).toEqual([0, 1, 2, 3, 4, 5, 6]);
	});

	it('keeps a batch that is appended while it sends, and an alarm for it', async () => {
		still();
		const outbox = newOutbox();
		await outbox.append('{"n":1}');
		await runInDurableObject(outbox, async (instance: Outbox, state) => {
			vi.spyOn(globalThis, 'fetch').mockImplementation(async () => {
				await instance.append('{"n":2}');
				return new Response(null, { status: 202 });
			});
			await state.storage.deleteAlarm();
			await instance.alarm();
			expect(state.storage.sql.exec('SELECT body FROM batch').toArray()).toEqual([{ body: '{"n":2}' }]);
			expect(await state.storage.getAlarm()).not.toBeNull();
		});
	});
});

describe('Outbox with batches that ingestion refuses for good', () => {
	it('finds them among those that it joins, sets them aside with the reason, and sends the others in order', async () => {
		const { taken, logged, asked } = refusing(422, '"n":5}', '"n":17}');
		still();
		const outbox = newOutbox();
		for (let n = 0; n < 40; n++) await outbox.append(`{"n":${n}}`);
		await sendAll(outbox);
		expect(taken).toEqual(Array.from({ length: 40 }, (_, n) => `{"n":${n}}`).filter((_, n) => n !== 5 && n !== 17));
		expect(asked()).toBeLessThan(30); // by halves, not one by one
		const report = await outbox.report();
		expect(report).toMatchObject({ waiting: 0, refused: 2, turned_away: 0 });
		expect(report.kept).toEqual(
			[2, 1].map((id) => ({ id, at: Date.now(), status: 422, reason: 'A line is no batch of decisions: there is no such region', chars: id === 2 ? 8 : 7 })),
		);
		expect(logged.mock.calls.flat().filter((line) => String(line).includes('no such region'))).toHaveLength(2);
		// They outlive the object, and every price isolate hears of them.
		await evictDurableObject(outbox);
		expect(await outbox.append('{"n":41}')).toMatchObject({ taken: true, refused: 2 });
	});

	it('keeps the newest of them, and counts all', async () => {
		const { taken } = refusing(413, '"bad"');
		still();
		const outbox = newOutbox();
		const many = limits.outbox_refused_max + 3;
		for (let n = 0; n < many; n++) await outbox.append(`{"bad":${n}}`);
		await outbox.append('{"good":true}');
		await sendAll(outbox);
		const { refused, kept } = await outbox.report();
		expect([taken, refused, kept.length, kept.at(-1)?.id]).toEqual([['{"good":true}'], many, limits.outbox_refused_max, 4]);
	});

	it.each([401, 403, 408, 429, 500, 503, 302])('does not count %s among them: it may be taken later', async (status) => {
		refusing(status, 'x');
		still();
		const outbox = newOutbox();
		await outbox.append('{"x":1}');
		await runDurableObjectAlarm(outbox);
		expect(await outbox.report()).toMatchObject({ waiting: 1, refused: 0 });
		expect(await alarmIn(outbox)).toBe(2 * limits.outbox_alarm_ms);
	});

	it.each([
		['nothing', null, ''],
		['no JSON', 'gateway', 'gateway'],
		['null', 'null', 'null'],
		['another shape', '{"detail":7,"errors":{}}', '{"detail":7,"errors":{}}'],
		['too much', 'x'.repeat(limits.outbox_answer_bytes_max + 1), ''],
		['a long word', 'y'.repeat(5000), 'y'.repeat(limits.outbox_reason_chars_max)],
	])('takes the reason as it comes: %s', async (_, body, reason) => {
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		vi.spyOn(globalThis, 'fetch').mockImplementation(async () => new Response(body, { status: 400 }));
		still();
		const outbox = newOutbox();
		await outbox.append('{}');
		await runDurableObjectAlarm(outbox);
		expect((await outbox.report()).kept).toEqual([expect.objectContaining({ status: 400, reason })]);
	});
});

describe('Outbox while ingestion is down for hours', () => {
	it('keeps as much as its bytes, turns away what comes then, counts it, and takes again when there is room', async () => {
		const sent = ingestion(503, 202);
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		vi.spyOn(limits, 'outbox_bytes_max', 'get').mockReturnValue(1_000_000 as never);
		still();
		const outbox = newOutbox();
		const answers = [];
		for (let n = 0; n < 20; n++) answers.push(await outbox.append(JSON.stringify({ n, pad: 'x'.repeat(100_000) })));
		const kept = answers.filter(({ taken }) => taken).length;
		expect(kept).toBeGreaterThan(5);
		expect(kept).toBeLessThan(10);
		expect(answers.map(({ taken }) => taken)).toEqual(Array.from({ length: 20 }, (_, n) => n < kept)); // the first stay
		expect(Math.max(...answers.map(({ bytes }) => bytes))).toBeLessThanOrEqual(1_000_000 + 8192);
		expect(await outbox.report()).toMatchObject({ waiting: kept, turned_away: 20 - kept });
		await runDurableObjectAlarm(outbox);
		expect(await waiting(outbox)).toBe(kept);
		await runDurableObjectAlarm(outbox);
		expect(await waiting(outbox)).toBe(0);
		expect(sent.bodies.at(-1)?.split('\n')).toHaveLength(kept);
		expect(await outbox.append('{}')).toMatchObject({ taken: true });
	});
});
