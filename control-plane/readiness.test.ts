import { describe, expect, it } from 'vitest';
import { testControlPlane } from './test-control-plane.ts';

describe('createReadiness()', () => {
	it('says that there is no release before the first', async () => {
		const empty = await testControlPlane({ seeded: false });
		const { status, json, headers } = await empty.call(null, 'GET', '/readyz');
		expect([status, json.detail, headers.get('retry-after')]).toEqual([503, 'There is no release yet.', '1']);
		await empty.close();
	});

	it('names a database that does not answer, and since when, while the process is alive', async () => {
		const city = await testControlPlane();
		await city.database.close();
		const first = await city.call(null, 'GET', '/readyz');
		expect([first.status, first.json.detail]).toEqual([503, expect.stringMatching(/^The database does not answer, seen first at \d{4}-.*Z\.$/)]);
		expect((await city.call(null, 'GET', '/readyz')).json.detail).toBe(first.json.detail);
		expect((await city.call(null, 'GET', '/healthz')).status).toBe(200);
		await city.close();
	});
});
