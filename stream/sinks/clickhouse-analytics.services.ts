// The questions of the control plane to the history: a small one is planted through the log, the figures are computed by hand.
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Analytics, openAnalytics } from '#control-plane/analytics.ts';
import { createDoor, type DoorApp, type Handlers } from '#control-plane/door.ts';
import { analyticsHandlers } from '#control-plane/handlers/analytics.ts';
import { createMetrics } from '#control-plane/metrics.ts';
import { accuracyAnswer, historyAnswer, multipliersAnswer, refusalsAnswer } from '#schemas/analytics.ts';
import { controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import { limits } from '#schemas/limits.ts';
import type { Role } from '#schemas/role.ts';
import { encodeEvent } from '../avro/codec.ts';
import { booking, freshLog, MINUTE, recordOf } from '../features/river.test-support.ts';
import type { Appended } from '../log/event-log.ts';
import { appended, decided, finalOf, forecastOf, freshDatabase, snapped } from './clickhouse.test-support.ts';
import { openClickHouseSink } from './clickhouse-sink.ts';

const START = Date.UTC(2026, 0, 11, 10);
const routes = controlPlaneRoutes.filter(({ path }) => path.startsWith('/api/v1/analytics/'));

/** The door with these calls alone; a token is its role. */
function doorTo(analytics: Analytics | null): DoorApp {
	return createDoor({
		title: 'analytics',
		routes,
		handlers: analyticsHandlers({ analytics }) as unknown as Handlers<typeof routes>,
		authenticate: async (header) => ({ role: header?.replace('Bearer ', '') as Role, subject: 'me' }) as never,
		metrics: createMetrics(),
		readiness: () => null,
	});
}
// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
type Json = any;
async function ask(door: DoorApp, path: string, { role = 'analyst', ...query }: Record<string, string>) {
	const response = await door.request(`/api/v1/analytics/${path}?${new URLSearchParams(query)}`, { headers: { authorization: `Bearer ${role}` } });
	return { status: response.status, headers: response.headers, json: (await response.json()) as Json };
}
const iso = (at: number) => new Date(at).toISOString();
const range = (from: number, to: number) => ({ from: iso(from), to: iso(to) });

let history: Awaited<ReturnType<typeof freshDatabase>>;
let analytics: Analytics;
let door: DoorApp;

async function plant(records: Appended[]): Promise<void> {
	const river = freshLog(1);
	await river.log.append(records);
	const sink = await openClickHouseSink({ place: history.place, log: river.log, gather: { records_max: 5000, ms: 10 } });
	sink.start();
	await sink.drain(30_000);
	expect(sink.trouble()).toBeNull();
	await sink.stop();
	await river.log.close();
	river.remove();
}

beforeAll(async () => {
	history = await freshDatabase(inject('clickhouse'));
	analytics = openAnalytics(history.place);
	door = doorTo(analytics);
	const event = (id: string, at: number, more: object = {}) => recordOf(booking(id, at, more));
	const multipliers = [1, 1, 1.25, 1.5, 3];
	const aside = (topic: 'late-events' | 'dead-letter', reason: string, { source, at, region_id = 'r-0' }: { source: string; at: number; region_id?: string }) =>
		appended(topic, encodeEvent(booking(source, at - 1, { ingested_at: at, region_id })), { headers: { reason, source } });
	// Finals of r-0: from minute 1 to 75 of START two bookings a minute (one told of twice), and none is logged of minutes in which an hour was silent.
	const finals = Array.from({ length: 75 }, (_, n) => finalOf(START + (n + 1) * MINUTE, { values: { booking_count_1min: 2 } }));
	await plant([
		event('b-1', START + 1),
		event('b-1', START + 1),
		event('b-2', START + 59 * MINUTE),
		event('b-3', START + 60 * MINUTE),
		event('late', START + 2, { ingested_at: START + 3_600_000 }),
		event('future', START + 3, { ingested_at: START + 3 - limits.future_ms_max - 1 }),
		event('s-1', START + 4, { event_type: 'search' }),
		event('c-1', START + 5, { event_type: 'cancel' }),
		event('elsewhere', START + 1, { region_id: 'r-1' }),
		...multipliers.map((surge_multiplier, n) => decided(`d-${n}`, { decided_at: START + n, surge_multiplier, amount_minor: 1000 + n })),
		decided('d-0', { decided_at: START, surge_multiplier: 1, amount_minor: 1000 }),
		decided('d-jpy', { decided_at: START + 6, surge_multiplier: 2, amount_minor: 500, currency: 'JPY' }),
		decided('d-next', { decided_at: START + 60 * MINUTE, surge_multiplier: 1.1 }),
		decided('d-elsewhere', { decided_at: START, surge_multiplier: 9, region_id: 'r-1' }),
		...finals,
		finals[20]!,
		finalOf(START + 15 * MINUTE, { region_id: 'r-1', values: { booking_count_1min: 7 } }),
		finalOf(START + 30 * MINUTE, { region_id: 'r-1', values: { booking_count_1min: 0 } }),
		finalOf(START + 45 * MINUTE, { region_id: 'r-1', values: { booking_count_1min: 0 } }),
		// As of 1.5 min: whole minutes 3..17, 3..32, 3..62: 30, 60, 120 bookings.
		snapped('s-1', { as_of: START + 90_000, champion: forecastOf('gbm@1', [27, 70, 121]), canary: forecastOf('gbm@2', [30, 60, 120]) }),
		snapped('s-1-again', { as_of: START + 90_000, champion: forecastOf('gbm@1', [27, 70, 121]) }), // another snapshot, the same forecast
		snapped('s-2', { as_of: START + 10 * MINUTE, champion: forecastOf('gbm@1', [31, 61, 118]) }), // minutes 11..25, 11..40, 11..70
		snapped('s-3', { as_of: START + 50 * MINUTE, champion: forecastOf('gbm@1', [40, 40, 40]) }), // minutes 51..65; the others are not over
		snapped('s-4', { as_of: START + 16 * MINUTE, champion: forecastOf('pulse', [1, 1, 1]), region_id: 'r-1' }), // a silent region: 0; until minute 46 not over
		snapped('s-5', { as_of: START - 60 * MINUTE, champion: forecastOf('hole@1', [1, 1, 1]) }), // before the first final: a hole
		aside('late-events', '700001 ms late', { source: 'user-events/0/1', at: START }),
		aside('late-events', '700001 ms late', { source: 'user-events/0/1', at: START }),
		aside('late-events', '812345 ms late', { source: 'user-events/0/2', at: START + 1 }),
		aside('late-events', '812345 ms late', { source: 'user-events/0/3', at: START + 24 * 3_600_000, region_id: 'r-1' }),
		aside('dead-letter', 'unknown region "nowhere: 7"', { source: 'user-events/0/4', at: START }),
		appended('dead-letter', new Uint8Array([7]), { timestamp: START, headers: { reason: 'no Confluent frame', source: 'user-events/0/5' } }),
	]);
}, 60_000);
afterAll(async () => {
	await analytics?.close();
	await history?.remove();
});

describe('GET /api/v1/analytics/history', () => {
	it('gives decisions, multipliers, prices by currency and what happened, by steps from `from`', async () => {
		const { status, json } = await ask(door, 'history', { region_id: 'r-0', step: '1h', ...range(START, START + 120 * MINUTE) });
		expect(status).toBe(200);
		expect(historyAnswer.parse(json)).toEqual({
			region_id: 'r-0',
			step: '1h',
			items: [
				{
					at: '2026-01-11T10:00:00Z',
					decisions: 6,
					multiplier: { mean: 9.75 / 6, min: 1, max: 3 },
					prices: [
						{ currency: 'JPY', decisions: 1, mean_amount_minor: 500 },
						{ currency: 'SGD', decisions: 5, mean_amount_minor: 1002 },
					],
					bookings: 3,
					searches: 1,
					cancels: 1,
				},
				{
					at: '2026-01-11T11:00:00Z',
					decisions: 1,
					multiplier: { mean: 1.1, min: 1.1, max: 1.1 },
					prices: [{ currency: 'SGD', decisions: 1, mean_amount_minor: 1200 }],
					bookings: 1,
					searches: 0,
					cancels: 0,
				},
			],
		});
	});

	it('from counts, to does not; a region without a history has none', async () => {
		const short = await ask(door, 'history', { region_id: 'r-0', step: '1m', ...range(START + 1, START + 59 * MINUTE) });
		expect(historyAnswer.parse(short.json).items).toMatchObject([{ at: iso(START + 1), decisions: 5, bookings: 2 }]);
		expect((await ask(door, 'history', { region_id: 'nowhere', ...range(START, START + 1) })).json).toMatchObject({ step: '1h', items: [] });
	});
});

describe('GET /api/v1/analytics/multipliers', () => {
	it('gives quantiles and a histogram over decisions, of a region or of all', async () => {
		const { json } = await ask(door, 'multipliers', { region_id: 'r-0', ...range(START, START + 5) });
		expect(multipliersAnswer.parse(json)).toEqual({
			decisions: 5,
			quantiles: { min: 1, p05: 1, p25: 1, p50: 1.25, p75: 1.5, p95: 3, p99: 3, max: 3 },
			histogram: [
				{ from: 1, to: 1.1, decisions: 2 },
				{ from: 1.2, to: 1.3, decisions: 1 },
				{ from: 1.5, to: 1.6, decisions: 1 },
				{ from: 3, to: 3.1, decisions: 1 },
			],
		});
		expect((await ask(door, 'multipliers', range(START, START + 5))).json).toMatchObject({ decisions: 6, quantiles: { max: 9 } });
		expect((await ask(door, 'multipliers', range(START - 5, START))).json).toEqual({ decisions: 0, quantiles: null, histogram: [] });
	});
});

describe('GET /api/v1/analytics/refusals', () => {
	it('counts each record that was set aside once, by day and kind of reason', async () => {
		const { json } = await ask(door, 'refusals', range(START, START + 48 * 3_600_000));
		expect(refusalsAnswer.parse(json).items).toEqual([
			{ day: '2026-01-11', topic: 'dead-letter', reason: 'no Confluent frame', records: 1 },
			{ day: '2026-01-11', topic: 'dead-letter', reason: 'unknown region "…"', records: 1 },
			{ day: '2026-01-11', topic: 'late-events', reason: '# ms late', records: 2 },
			{ day: '2026-01-12', topic: 'late-events', reason: '# ms late', records: 1 },
		]);
		expect((await ask(door, 'refusals', { region_id: 'r-1', ...range(START, START + 48 * 3_600_000) })).json.items).toHaveLength(1);
		expect((await ask(door, 'refusals', range(START + 1, START + 2))).json.items).toEqual([
			{ day: '2026-01-11', topic: 'late-events', reason: '# ms late', records: 1 },
		]);
	});
});

describe('GET /api/v1/analytics/accuracy', () => {
	it('judges each forecast once, by the finals of its minutes, and leaves out those that are not over or lie in a hole', async () => {
		const { json } = await ask(door, 'accuracy', range(START - 120 * MINUTE, START + 120 * MINUTE));
		expect(accuracyAnswer.parse(json).items).toEqual([
			// 27, 31 and 40 against 30 each; within 2 of it: 31.
			{ model: 'gbm@1', horizon_minutes: 15, forecasts: 3, expected: 98, bookings: 90, wape: (3 + 1 + 10) / 90, coverage: 1 / 3, waiting: 0 },
			{ model: 'gbm@1', horizon_minutes: 30, forecasts: 2, expected: 131, bookings: 120, wape: (10 + 1) / 120, coverage: 1 / 2, waiting: 1 },
			{ model: 'gbm@1', horizon_minutes: 60, forecasts: 2, expected: 239, bookings: 240, wape: (1 + 2) / 240, coverage: 1, waiting: 1 },
			{ model: 'gbm@2', horizon_minutes: 15, forecasts: 1, expected: 30, bookings: 30, wape: 0, coverage: 1, waiting: 0 },
			{ model: 'gbm@2', horizon_minutes: 30, forecasts: 1, expected: 60, bookings: 60, wape: 0, coverage: 1, waiting: 0 },
			{ model: 'gbm@2', horizon_minutes: 60, forecasts: 1, expected: 120, bookings: 120, wape: 0, coverage: 1, waiting: 0 },
			{ model: 'hole@1', horizon_minutes: 15, forecasts: 0, expected: 0, bookings: 0, wape: null, coverage: null, waiting: 1 },
			{ model: 'hole@1', horizon_minutes: 30, forecasts: 0, expected: 0, bookings: 0, wape: null, coverage: null, waiting: 1 },
			{ model: 'hole@1', horizon_minutes: 60, forecasts: 0, expected: 0, bookings: 0, wape: null, coverage: null, waiting: 1 },
			{ model: 'pulse', horizon_minutes: 15, forecasts: 1, expected: 1, bookings: 0, wape: null, coverage: 1, waiting: 0 },
			{ model: 'pulse', horizon_minutes: 30, forecasts: 0, expected: 0, bookings: 0, wape: null, coverage: null, waiting: 1 },
			{ model: 'pulse', horizon_minutes: 60, forecasts: 0, expected: 0, bookings: 0, wape: null, coverage: null, waiting: 1 },
		]);
		expect((await ask(door, 'accuracy', { region_id: 'r-1', ...range(START, START + 120 * MINUTE) })).json.items).toHaveLength(3);
	});
});

describe('the doors of the history', () => {
	it.each([
		['history', { region_id: 'r-0', ...range(START, START) }, '/to'],
		['history', { region_id: 'r-0', from: 'yesterday', to: iso(START) }, '/from'],
		['history', { ...range(START, START + 1) }, '/region_id'],
		['history', { region_id: "r-0' OR 1=1 --", ...range(START, START + 1) }, '/region_id'],
		['history', { region_id: 'r-0', step: '1m', ...range(START, START + 30 * 24 * 3_600_000) }, '/step'],
		['history', { region_id: 'r-0', step: '7m', ...range(START, START + 1) }, '/step'],
		['multipliers', range(START, START + 400 * 24 * 3_600_000), '/to'],
		['refusals', { from: iso(START) }, '/to'],
		['accuracy', range(START, START + 32 * 24 * 3_600_000), '/to'],
	])('%s %j is refused at %s', async (path, query, pointer) => {
		const { status, json } = await ask(door, path, query as Record<string, string>);
		expect([status, json.errors.map((error: { path: string }) => error.path)]).toEqual([422, [pointer]]);
	});

	it.each(['history', 'multipliers', 'refusals', 'accuracy'])('%s answers the first and the last instants of the contract', async (path) => {
		for (const [from, to] of [
			['0000-01-01T00:00:00Z', '0000-01-31T00:00:00Z'],
			['9999-12-01T00:00:00Z', '9999-12-31T00:00:00Z'],
		] as const)
			expect((await ask(door, path, { region_id: 'r-0', from, to })).status).toBe(200);
	});

	it('a viewer gets 403; without CLICKHOUSE_URL 503 says so', async () => {
		for (const { path } of routes) {
			const name = path.split('/').at(-1)!;
			const query = { region_id: 'r-0', ...range(START, START + 1) };
			expect((await ask(door, name, { ...query, role: 'viewer' })).status).toBe(403);
			const { status, headers, json } = await ask(doorTo(null), name, query);
			expect([status, headers.get('retry-after'), json.code, json.detail]).toEqual([
				503,
				'1',
				'unavailable',
				'There is no history: CLICKHOUSE_URL is not set.',
			]);
		}
	});

	it('503 with the reason where nobody listens, where nothing was written yet, and where the user is unknown', async () => {
		const query = { region_id: 'r-0', ...range(START, START + 1) };
		const empty = await freshDatabase(inject('clickhouse'));
		const cases = [
			[{ ...history.place, url: 'http://127.0.0.1:9' }, 'ClickHouse does not answer now.'],
			[empty.place, 'ClickHouse has no history yet.'],
			[{ ...history.place, database: 'nowhere' }, 'ClickHouse has not the database of CLICKHOUSE_URL.'],
			[{ ...history.place, username: 'nobody' }, 'ClickHouse does not take the user and password of CLICKHOUSE_URL.'],
		] as const;
		for (const [place, detail] of cases) {
			const other = openAnalytics(place);
			const { status, headers, json } = await ask(doorTo(other), 'history', query);
			expect([status, headers.get('retry-after'), json.detail]).toEqual([503, '1', detail]);
			await other.close();
		}
		await empty.remove();
	});
});
