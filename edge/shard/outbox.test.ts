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

describe('Outbox', () => {
	it('keeps a batch, sends it by its alarm under a token of its own, and deletes it after a 2xx', async () => {
		const { bodies, requests } = ingestion(202);
		still();
		const outbox = newOutbox();
		await outbox.append('{"n":1}');
		await outbox.append('{"n":2}');
		expect(await outbox.waiting()).toBe(2);
		expect(await alarmIn(outbox)).toBe(limits.outbox_alarm_ms);
		expect(await runDurableObjectAlarm(outbox)).toBe(true);
		expect(await outbox.waiting()).toBe(0);
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
			expect(await outbox.waiting()).toBe(1);
			delays.push(await alarmIn(outbox));
		}
		expect(delays).toEqual([200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, limits.outbox_retry_ms_max]);
		expect(await runDurableObjectAlarm(outbox)).toBe(true);
		expect(await outbox.waiting()).toBe(0);
		expect(new Set(bodies)).toEqual(new Set(['{}']));
	});

	it('sends by itself, without another call', async () => {
		const { bodies } = ingestion(503, 202);
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		const outbox = newOutbox();
		await outbox.append('{"alone":true}');
		await vi.waitFor(async () => expect(await outbox.waiting()).toBe(0), { timeout: 10_000 });
		expect(bodies).toEqual(['{"alone":true}', '{"alone":true}']);
	});

	it('keeps what was appended through an eviction and a reset, with an alarm', async () => {
		ingestion(202);
		still();
		const outbox = newOutbox();
		await outbox.append('{"n":1}');
		await evictDurableObject(outbox);
		expect(await outbox.waiting()).toBe(1);
		await abortAllDurableObjects();
		const again = OUTBOX.get(outbox.id) as Stub;
		expect(await again.waiting()).toBe(1);
		expect(await alarmAt(again)).not.toBeNull();
		await runDurableObjectAlarm(again);
		expect(await again.waiting()).toBe(0);
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
		expect(await outbox.waiting()).toBe(1);
		await evictDurableObject(outbox);
		await runDurableObjectAlarm(outbox);
		expect(bodies).toEqual(['{"n":1}', '{"n":1}']);
		expect(await outbox.waiting()).toBe(0);
	});

	it('sends at most its bytes at once, oldest first, and the rest by the next alarm', async () => {
		const { bodies } = ingestion(202);
		still();
		const outbox = newOutbox();
		const batch = (n: number) => JSON.stringify({ n, pad: 'x'.repeat(900_000) });
		for (let n = 0; n < 7; n++) await outbox.append(batch(n));
		await runDurableObjectAlarm(outbox);
		expect(await outbox.waiting()).toBe(3);
		expect(await alarmIn(outbox)).toBe(limits.outbox_alarm_ms);
		await runDurableObjectAlarm(outbox);
		expect(await outbox.waiting()).toBe(0);
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
