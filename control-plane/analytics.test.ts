// The history's calls at the whole door, without a ClickHouse; what they answer with one: stream/sinks/clickhouse-analytics.services.ts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestControlPlane, testControlPlane } from './test-control-plane.ts';

let city: TestControlPlane;
beforeAll(async () => {
	city = await testControlPlane({ seeded: false });
}, 60_000);
afterAll(() => city.close());

describe.each(['history', 'multipliers', 'refusals', 'accuracy'])('GET /api/v1/analytics/%s without CLICKHOUSE_URL', (name) => {
	const path = `/api/v1/analytics/${name}?region_id=r&from=2026-01-11T10:00:00Z&to=2026-01-11T11:00:00Z`;

	it('is a 503 that says so, for an analyst', async () => {
		const { status, headers, json } = await city.call('analyst', 'GET', path);
		expect([status, headers.get('retry-after'), json.code, json.detail]).toEqual([503, '1', 'unavailable', 'There is no history: CLICKHOUSE_URL is not set.']);
	});

	it('is not for a viewer, and judges the question first', async () => {
		expect((await city.call('viewer', 'GET', path)).status).toBe(403);
		expect((await city.call(null, 'GET', path)).status).toBe(401);
		const backwards = await city.call('analyst', 'GET', path.replace('T11', 'T09'));
		expect([backwards.status, backwards.json.errors]).toEqual([422, [{ path: '/to', message: 'must be after from' }]]);
	});
});
