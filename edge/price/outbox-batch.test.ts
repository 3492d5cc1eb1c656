import { reset } from 'cloudflare:test';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { compileRuleSet } from '#models/pricing/compile-rule-set.ts';
import { decide } from '#models/pricing/decide.ts';
import type { DecisionBatch } from '#schemas/decision.ts';
import { limits } from '#schemas/limits.ts';
import { ruleSet, sha256 } from '../test-support.ts';
import { type Behind, coldIsolate, type Isolate, openRegion, real } from './door.test-support.ts';

afterEach(async () => {
	vi.useRealTimers();
	vi.restoreAllMocks();
	await reset();
});

const metric = async (isolate: Isolate, outcome: string) =>
	Number(
		new RegExp(`surgecast_edge_decisions_total\\{outcome="${outcome}"\\} (\\d+)`).exec((await isolate.call('GET', '/metrics', { token: null })).text)?.[1] ?? 0,
	);
const all = (batches: DecisionBatch[]) => batches.flatMap(({ decisions }) => decisions);

describe('addDecision()', () => {
	it('hands every decision over soon after, with what it was made from, each snapshot once', async () => {
		const ids = [await openRegion(), await openRegion()];
		const isolate = await coldIsolate();
		await isolate.price(ids[0]!);
		isolate.batches.length = 0;
		const answers = await Promise.all(
			ids.flatMap((id) => [1, 2, 3].map((n) => isolate.price(id, { body: { user_id: `u-${n}`, timestamp: '2026-01-11T10:30:00Z' }, background: true }))),
		);
		await vi.waitFor(() => expect(all(isolate.batches)).toHaveLength(6), { timeout: 10_000, interval: 5 });
		expect(isolate.batches).toHaveLength(1);
		const [{ decisions, snapshots }] = isolate.batches as [DecisionBatch];
		expect(snapshots.map(({ region }) => region.region_id).sort()).toEqual([...ids].sort());
		expect(decisions.map(({ answer }) => answer).sort((a, b) => (a.decision_id < b.decision_id ? -1 : 1))).toEqual(
			answers.map(({ price }) => price).sort((a, b) => (a.decision_id < b.decision_id ? -1 : 1)),
		);
		expect(new Set(decisions.map(({ isolate: name }) => name)).size).toBe(1);
		expect(decisions.map(({ sequence }) => sequence)).toEqual([2, 3, 4, 5, 6, 7]); // without a gap
		expect(decisions[0]).toMatchObject({
			inputs: { timestamp: Date.parse('2026-01-11T10:30:00Z'), user_hash: expect.stringMatching(/^[0-9a-f]{64}$/), arm: 'champion', experiment: null },
		});
		expect(JSON.stringify(isolate.batches)).not.toContain('u-1');
	});

	it('records what gives the same outcome again by decide()', async () => {
		const isolate = await coldIsolate();
		const cases = [
			await openRegion(),
			await openRegion({ as_of: Date.now() - 300_000 }),
			await openRegion({ as_of: null, profile: Array(168).fill(9) }),
			await openRegion({ as_of: null }),
			await openRegion({ frozen: true }),
		];
		for (const id of cases) await isolate.price(id, { body: { user_id: 'u', attributes: { distance_km: 3.3, vip: true } } });
		expect(all(isolate.batches).map(({ answer }) => answer.status)).toEqual(['priced', 'stale', 'baseline', 'tariff', 'frozen']);
		const document = JSON.stringify(ruleSet());
		const compiled = compileRuleSet(JSON.parse(document));
		if (!compiled.ok) throw new Error('the rule set does not compile');
		for (const { decisions, snapshots } of isolate.batches)
			for (const { answer, decided_at, inputs } of decisions) {
				expect(inputs.rule_set_digest).toBe(await sha256(document));
				const snapshot = snapshots.find(({ snapshot_id }) => snapshot_id === inputs.snapshot_id)!;
				const { request, at, arm, experiment } = inputs;
				const again = decide({ request, at, arm, experiment, decided_at, snapshot }, compiled.ruleSet);
				const { decision_id: _, trace_id: __, ...outcome } = answer;
				expect(again).toMatchObject({ ok: true });
				expect(JSON.stringify(again.ok && again.outcome)).toBe(JSON.stringify(outcome));
			}
	});

	it('keeps a batch that no Outbox takes, and sends it with a later one', async () => {
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		const id = await openRegion();
		const behind: Behind = { outbox: () => Promise.reject(new Error('down')) };
		const isolate = await coldIsolate(behind);
		const first = (await isolate.price(id)).price.decision_id;
		expect(isolate.batches).toEqual([]);
		expect(await metric(isolate, 'kept')).toBe(1);
		delete behind.outbox;
		vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 1000 });
		const second = (await isolate.price(id)).price.decision_id;
		expect(
			all(isolate.batches)
				.map(({ decision_id }) => decision_id)
				.sort(),
		).toEqual([first, second].sort());
		expect(await metric(isolate, 'handed')).toBe(2);
	});

	it('goes to another Outbox when one fails', async () => {
		const id = await openRegion();
		const tried: string[] = [];
		const isolate = await coldIsolate({
			outbox: async (name) => {
				tried.push(name);
				if (tried.length === 1) throw new Error('down');
			},
		});
		await isolate.price(id);
		expect(isolate.batches).toHaveLength(1);
		expect(new Set(tried).size).toBe(2);
		expect(await metric(isolate, 'kept')).toBe(0);
	});

	it('goes to another Outbox when one is full, keeps what none takes, and tells both and what was set aside', async () => {
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		const id = await openRegion();
		const behind: Behind = { outbox: async () => ({ taken: false, bytes: 1000, refused: 2 }) };
		const isolate = await coldIsolate(behind);
		const page = async (path: string) => (await isolate.call('GET', path, { token: null })).text;
		const first = (await isolate.price(id)).price.decision_id;
		expect(isolate.batches).toEqual([]);
		expect(await metric(isolate, 'kept')).toBe(1);
		const told = (JSON.parse(await page('/readyz')) as { behind: { what: string; cause: string }[] }).behind.filter(({ what }) => what.startsWith('outbox'));
		expect(told.map(({ cause }) => cause)).toEqual(Array(2).fill('it is full, and takes no more decisions'));
		const text = await page('/metrics');
		for (const line of ['surgecast_edge_outboxes_full 2', 'surgecast_edge_outbox_batches_refused 4', 'surgecast_edge_outbox_bytes 2000'])
			expect(text).toContain(`${line}\n`);
		behind.outbox = async () => ({ taken: true, bytes: 10, refused: 0 });
		vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + limits.outbox_failed_ms });
		await isolate.price(id);
		expect(all(isolate.batches).map(({ decision_id }) => decision_id)).toContain(first);
	});

	it('takes over the batch of a request that died, after a second', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		await isolate.price(id);
		isolate.batches.length = 0;
		vi.useFakeTimers({ toFake: ['Date', 'setTimeout'], now: Date.now() });
		const orphan = (await isolate.price(id, { background: true })).price.decision_id; // its timer never fires
		vi.setSystemTime(Date.now() + limits.outbox_takeover_ms + 1);
		vi.useRealTimers();
		vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + limits.outbox_takeover_ms + 100 });
		const next = (await isolate.price(id)).price.decision_id;
		expect(all(isolate.batches).map(({ decision_id }) => decision_id)).toEqual([orphan, next]);
		expect(isolate.batches).toHaveLength(2);
	});

	it('closes a batch by its number and by its bytes, so that a row of the Outbox takes it', async () => {
		const id = await openRegion();
		const sizes: number[] = [];
		const isolate = await coldIsolate({
			outbox: async (_, body) => {
				sizes.push(new TextEncoder().encode(body).length);
			},
		});
		const attributes = Object.fromEntries(Array.from({ length: 6 }, (_, n) => [`k${n}`, '雨'.repeat(100)]));
		const requests = Array.from({ length: 100 }, () => ({ region_id: id, product_type: 'standard_ride', attributes }));
		await Promise.all(Array.from({ length: 9 }, () => isolate.call('POST', '/api/v1/prices', { body: { requests } })));
		expect(all(isolate.batches)).toHaveLength(900);
		expect(sizes.length).toBeGreaterThan(1);
		expect(Math.max(...sizes)).toBeLessThan(2_000_000);
		expect(Math.max(...isolate.batches.map(({ decisions }) => decisions.length))).toBeLessThanOrEqual(limits.outbox_batch_decisions_max);
	});

	it('is bounded while no Outbox answers: the oldest batches are dropped, and counted', async () => {
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		vi.resetModules();
		const { addDecision } = await import('./outbox-batch.ts');
		const { metricsText } = await import('./metrics.ts');
		const ctx = { waitUntil: () => undefined } as unknown as ExecutionContext;
		const env = { ...real, OUTBOX: { getByName: () => ({ append: () => Promise.reject(new Error('down')) }) } } as unknown as typeof real;
		const record = { decision_id: 'd', region_id: 'r', decided_at: 0, isolate: 'i', sequence: 0, inputs: {} } as unknown as Parameters<typeof addDecision>[0];
		const snapshot = { snapshot_id: 's' } as unknown as Parameters<typeof addDecision>[1]['snapshot'];
		const answer = JSON.stringify('x'.repeat(100_000));
		const batches = Math.ceil(limits.outbox_unsent_chars_max / limits.outbox_batch_chars_max);
		const a_batch = Math.ceil(limits.outbox_batch_chars_max / answer.length);
		for (let i = 0; i < (batches + 5) * a_batch; i++) addDecision(record, { answer, snapshot, env, ctx });
		// Five more than fit: what is on its way counts too.
		const dropped = () => Number(/outcome="dropped"\} (\d+)/.exec(metricsText({}))?.[1]);
		await vi.waitFor(() => expect(dropped()).toBeGreaterThanOrEqual(4 * a_batch));
		expect(dropped()).toBeLessThanOrEqual(7 * a_batch);
	});
});

it('a decision comes to ingestion through a real Outbox', async () => {
	const id = await openRegion();
	const isolate = await coldIsolate({ env: { OUTBOX: real.OUTBOX } });
	const { price } = await isolate.price(id);
	await vi.waitFor(
		async () => {
			const taken = (await (await real.INGESTION.fetch('http://fake-ingestion/')).json()) as { path: string; body: string }[];
			const bodies = taken.filter(({ path }) => path === '/internal/decisions').map(({ body }) => body);
			expect(bodies.some((body) => body.includes(price.decision_id))).toBe(true);
		},
		{ timeout: 10_000, interval: 50 },
	);
});
