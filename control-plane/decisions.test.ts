// Decisions: stored once, listed, and replayed to the cent by the real decide().
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileRuleSet } from '#models/pricing/compile-rule-set.ts';
import { decide } from '#models/pricing/decide.ts';
import { pricingVersion } from '#models/pricing/pricing-version.ts';
import type { DecisionBatch, DecisionRecord } from '#schemas/decision.ts';
import { featureNames } from '#schemas/feature.ts';
import type { Forecast, Horizon } from '#schemas/forecast.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import { storeDecisions } from './database/decisions.ts';
import { replayDecisions } from './replay.ts';
import { cityDocument, type TestControlPlane, testControlPlane } from './test-control-plane.ts';

let city: TestControlPlane;
beforeAll(async () => {
	city = await testControlPlane();
}, 60_000);
afterAll(() => city.close());

const START = Date.parse('2026-01-11T10:30:00Z');
const compiled = compileRuleSet(cityDocument());
if (!compiled.ok) throw new Error('the document of the contract is good');
const { ruleSet } = compiled;

const forecast: Forecast = {
	model: 'pulse',
	horizons: [15, 30, 60].map((minutes) => ({ minutes, expected: minutes / 3, low: 2, high: 30 })) as unknown as [Horizon, Horizon, Horizon],
	out_of_domain: false,
};

async function snapshotOf(regionId: string, id: string): Promise<Snapshot> {
	const shard = city.edge.shards.find(({ entries }) => entries.has(regionId))!;
	const { region_id, name, time_zone, rule_set, location_hint, minutes_per_booking, frozen, version } = shard.entries.get(regionId)!;
	return {
		snapshot_id: id,
		region: { region_id, name, time_zone, rule_set, location_hint, minutes_per_booking, frozen, version },
		release: 1,
		rule_set: shard.release!.rule_sets['city']!,
		features: { version: 4_294_967_298, as_of: START - 2000, values: featureNames.map((_, at) => (at > 27 ? null : at)) },
		forecasts: { champion: forecast, canary: null },
		usual: forecast,
	};
}

function record(snapshot: Snapshot, { at, sequence, userHash = null }: { at: number; sequence: number; userHash?: string | null }): DecisionRecord {
	const request = { product_type: 'standard_ride', attributes: { distance_km: 4.2, note: 'a\u0000b\u2028' }, bucket: userHash ? 7 : null };
	const local = { hour: 18, day_of_week: 6, date: '2026-01-11' };
	const decided = decide({ request, decided_at: at, at: local, snapshot, arm: 'champion', experiment: null }, ruleSet);
	if (!decided.ok) throw new Error(decided.refusal.detail);
	const decision_id = randomUUID();
	return {
		decision_id,
		region_id: snapshot.region.region_id,
		decided_at: at,
		isolate: 'isolate-1',
		sequence,
		answer: { decision_id, trace_id: 'a'.repeat(32), ...decided.outcome },
		inputs: {
			request,
			at: local,
			arm: 'champion',
			experiment: null,
			snapshot_id: snapshot.snapshot_id,
			timestamp: userHash ? START - 5000 : null,
			user_hash: userHash,
			pricing: pricingVersion,
			rule_set_digest: snapshot.rule_set.digest,
		},
	};
}
const analyst = (path: string) => city.call('analyst', 'GET', `/api/v1/decisions${path}`);
let batch: DecisionBatch;

describe('storeDecisions()', () => {
	it('stores a batch once, however often it comes', async () => {
		const [central, airport] = [await snapshotOf('sg-central', 's-1'), await snapshotOf('sg-airport', 's-2')];
		const decisions = Array.from({ length: 25 }, (_, n) =>
			record(n % 5 === 0 ? airport : central, { at: START + Math.floor(n / 2) * 1000, sequence: n, userHash: n % 2 ? 'f'.repeat(64) : null }),
		);
		batch = { decisions, snapshots: [central, airport] };
		const { connection } = city.database;
		expect(await storeDecisions(connection, batch)).toEqual({ stored: 25 });
		expect(await storeDecisions(connection, batch)).toEqual({ stored: 0 });
		const more = record(central, { at: START + 100_000, sequence: 25 });
		expect(await storeDecisions(connection, { decisions: [more, more, ...decisions], snapshots: [central] })).toEqual({ stored: 1 });
		expect(await storeDecisions(connection, { decisions: [], snapshots: [] })).toEqual({ stored: 0 });
	});
});

describe('GET /api/v1/decisions', () => {
	it('gives the answers with timestamp and user_hash, newest first, in pages without gaps or doubles', async () => {
		const seen: string[] = [];
		let cursor: string | null = '';
		let pages = 0;
		while (cursor !== null) {
			const { json } = (await analyst(`?region_id=sg-central&limit=6${cursor && `&cursor=${cursor}`}`)) as {
				json: { items: Record<string, unknown>[]; next_cursor: string | null };
			};
			seen.push(...json.items.map((item) => item['decision_id'] as string));
			cursor = json.next_cursor;
			pages++;
		}
		expect([seen.length, new Set(seen).size, pages]).toEqual([21, 21, 4]);
		const { json } = await analyst(`/${batch.decisions[1]!.decision_id}`);
		expect(json).toEqual({ ...batch.decisions[1]!.answer, timestamp: '2026-01-11T10:29:55Z', user_hash: 'f'.repeat(64) });
		expect((await analyst(`/${batch.decisions[2]!.decision_id}`)).json).toMatchObject({ timestamp: null, user_hash: null });
	});

	it('bounds by from <= time < to', async () => {
		const instants = async (query: string) => new Set(((await analyst(`?${query}`)).json.items as { decided_at: string }[]).map((item) => item.decided_at));
		expect(await instants('from=2026-01-11T10:30:02Z&to=2026-01-11T10:30:04Z')).toEqual(new Set(['2026-01-11T10:30:02Z', '2026-01-11T10:30:03Z']));
		expect(await instants('from=2026-01-11T18:30:12%2B08:00&to=2026-01-11T10:30:13Z')).toEqual(new Set(['2026-01-11T10:30:12Z']));
		expect(await instants('region_id=nowhere')).toEqual(new Set());
	});

	it.each([
		['region_id=No!', '/region_id'],
		['region_id=%00', '/region_id'],
		['from=yesterday', '/from'],
		['to=2026-02-30T00:00:00Z', '/to'],
		['limit=501', '/limit'],
		['cursor=MTI', '/cursor'],
		['cursor=WzEsIlx1MDAwMCJd', '/cursor'], // [1,"\u0000"]
		['cursor=WzFlMzAsImEiXQ', '/cursor'], // [1e30,"a"]
	])('refuses %s', async (query, path) => {
		const { status, json } = await analyst(`?${query}`);
		expect([status, json.errors?.[0]?.path]).toEqual([422, path]);
	});
});

describe('GET /api/v1/decisions/{decision_id}/explain', () => {
	it('reproduces, and shows all inputs by name', async () => {
		const { decision_id, answer } = batch.decisions[1]!;
		const { status, json } = await analyst(`/${decision_id}/explain`);
		expect([status, json]).toMatchObject([200, { decision_id, reproduces: true, differences: [] }]);
		expect(json.decision.price).toBe(answer.price);
		expect(json.inputs).toMatchObject({ timestamp: '2026-01-11T10:29:55Z', request: { bucket: 7 }, snapshot: { features: { as_of: '2026-01-11T10:29:58Z' } } });
		expect(json.inputs.snapshot.features.values.booking_count_5min).toBe(featureNames.indexOf('booking_count_5min'));
		expect(json.inputs.snapshot.features.values.active_events).toBeNull();
		expect(json.inputs.rule_set_document.name).toBe('city');
	});

	it('names what differs, and what is missing', async () => {
		const central = batch.snapshots[0]!;
		const [forged, orphan, ruleless] = [0, 1, 2].map((n) => record(central, { at: START - 10_000, sequence: 100 + n })) as [
			DecisionRecord,
			DecisionRecord,
			DecisionRecord,
		];
		forged.answer = { ...forged.answer, amount_minor: forged.answer.amount_minor + 5, reasons: ['because'] };
		orphan.inputs.snapshot_id = 'gone';
		ruleless.inputs.rule_set_digest = 'e'.repeat(64);
		await storeDecisions(city.database.connection, { decisions: [forged, orphan, ruleless], snapshots: [] });
		const differences = async (one: DecisionRecord) => {
			const { json } = await analyst(`/${one.decision_id}/explain`);
			expect(json.reproduces).toBe(false);
			return json.differences;
		};
		const amount = forged.answer.amount_minor;
		expect(await differences(forged)).toEqual([
			{ path: '/amount_minor', stored: amount, computed: amount - 5 },
			{ path: '/reasons/0', stored: 'because', computed: 'min_multiplier' },
		]);
		expect(await differences(orphan)).toEqual([{ path: '/inputs/snapshot', stored: 'gone', computed: null }]);
		expect(await differences(ruleless)).toEqual([{ path: '/inputs/rule_set_digest', stored: 'e'.repeat(64), computed: null }]);
	});
});

describe('replayDecisions()', () => {
	it('compares all of a span, page by page, other revisions apart', async () => {
		const { connection } = city.database;
		const old = record(batch.snapshots[0]!, { at: START + 200_000, sequence: 200 });
		old.inputs.pricing = pricingVersion - 1;
		await storeDecisions(connection, { decisions: [old], snapshots: [] });
		const progress: number[] = [];
		const report = await replayDecisions(connection, { from: START, onProgress: ({ compared }) => progress.push(compared) });
		expect(report).toEqual({ compared: 26, other_revisions: 1, difference: null });
		expect(progress.at(-1)).toBe(26);
		expect(await replayDecisions(connection, { from: 0, to: 1 })).toEqual({ compared: 0, other_revisions: 0, difference: null });
		expect((await replayDecisions(connection)).difference?.differences.length).toBeGreaterThan(0);
	});

	it('is a call for our own processes, in lines', async () => {
		expect((await city.call('admin', 'GET', '/internal/replay-decisions')).status).toBe(403);
		const { text, headers } = await city.call('service', 'GET', '/internal/replay-decisions?from=2026-01-11T10:30:00Z');
		expect(headers.get('content-type')).toBe('application/x-ndjson');
		const lines = text
			.trim()
			.split('\n')
			.map((line) => JSON.parse(line) as unknown);
		expect(lines.at(-1)).toEqual({ done: true, compared: 26, other_revisions: 1, difference: null });
		expect(lines[0]).toMatchObject({ done: false });
	});
});
