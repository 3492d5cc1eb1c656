// The door as a whole: every route, every role, every refusal.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { controlPlaneInternalRoutes, controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import { edgeRoutes } from '#schemas/edge-routes.ts';
import { featureNames } from '#schemas/feature.ts';
import { ingestRoutes } from '#schemas/ingest-routes.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import { problemDocument } from '#schemas/problem.ts';
import { mayCall, roles } from '#schemas/role.ts';
import type { Route } from '#schemas/route.ts';
import { readCatalogue } from './database/regions.ts';
import { type Answered, cityDocument, type TestControlPlane, testControlPlane } from './test-control-plane.ts';

let city: TestControlPlane;
beforeAll(async () => {
	city = await testControlPlane();
}, 60_000);
afterAll(() => city.close());

function refused(answer: Answered, status: number, code: string, path?: string) {
	expect([answer.status, answer.headers.get('content-type')], answer.text).toEqual([status, 'application/problem+json']);
	const document = problemDocument.parse(answer.json);
	expect(document).toMatchObject({ status, code });
	if (path !== undefined) expect(document.errors?.map((error) => error.path)).toContain(path);
	if (status === 503 || status === 429) expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
	expect(answer.text).not.toMatch(/node_modules|\.ts\b|\bselect\b|\binsert\b|ECONNREFUSED|\n\s+at /i);
}
const viewer = (path: string) => city.call('viewer', 'GET', `/api/v1/${path}`);
const operator = (method: string, path: string, body?: unknown) => city.call('operator', method, `/api/v1/${path}`, body === undefined ? {} : { body });
const save = async (document: unknown): Promise<number> => {
	const answer = await city.call('author', 'POST', '/api/v1/rule-sets', { body: document });
	expect(answer.status, answer.text).toBe(201);
	return answer.json.version;
};
const publish = async (document: unknown): Promise<{ version: number; release: number }> => {
	const version = await save(document);
	const { json, status } = await operator('POST', `rule-sets/${version}/publish`);
	expect([status, json.rule_set]).toEqual([201, version]);
	return { version, release: json.release };
};
const shardOf = (id: string) => city.edge.shards[partition(id, city.configuration.partitions)]!;

describe('routes and roles', () => {
	const open = ['/docs', '/.well-known/jwks.json', '/healthz', '/readyz', '/metrics', '/openapi.json'];
	const filled = ({ path }: Route) => path.replace('{region_id}', 'nowhere').replaceAll(/\{(\w+)\}/g, '999999');

	it('every route declares a role, and only the open ones none', () => {
		for (const route of [...controlPlaneRoutes, ...controlPlaneInternalRoutes] as readonly Route[]) {
			expect(route.role === null, route.path).toBe(open.includes(route.path));
		}
	});

	it.each((controlPlaneRoutes as readonly Route[]).filter((route) => route.role !== null))(
		'$method $path lets in its least role and those above',
		async (route) => {
			const method = route.method.toUpperCase();
			const options = route.body ? { body: {} } : {};
			refused(await city.call(null, method, filled(route), options), 401, 'unauthenticated');
			for (const role of [...roles, 'service'] as const) {
				const answer = await city.call(role, method, filled(route), options);
				if (mayCall(role, route.role!)) {
					expect([401, 403, 500], `${role}: ${answer.text}`).not.toContain(answer.status);
					if (answer.status >= 400) refused(answer, answer.status, answer.json.code);
				} else refused(answer, 403, 'forbidden');
			}
		},
	);

	it('answers garbage with a problem everywhere', async () => {
		for (const route of (controlPlaneRoutes as readonly Route[]).filter(({ role, body }) => role !== null && body)) {
			for (const raw of ['{', 'null', '[]', '"x"', '{"a":', '\u0000', '{"__proto__":1}']) {
				const answer = await city.call('admin', route.method.toUpperCase(), filled(route), { raw });
				expect(answer.status, `${route.path} ${raw}`).toBeGreaterThanOrEqual(400);
				refused(answer, answer.status, answer.json.code);
				expect(answer.status).not.toBe(500);
			}
		}
		for (const path of [
			'regions/%00',
			'regions/%ff',
			'regions/a%2fb',
			'rule-sets/0',
			'rule-sets/1e3',
			'rule-sets/1/diff/x',
			'releases/-1',
			'decisions/%00',
			'models/a/x',
			'features/%00',
		]) {
			const answer = await city.call('admin', 'GET', `/api/v1/${path}`);
			expect(answer.status, path).toBe(404);
		}
	});

	it('answers what its own document says', async () => {
		const { json } = await city.call(null, 'GET', '/openapi.json');
		for (const { method, path, role } of controlPlaneRoutes as readonly Route[]) {
			expect(json.paths[path][method]['x-least-role']).toBe(role ?? undefined);
		}
		expect(json.paths['/internal/replay-decisions']).toBeUndefined();
	});

	it('shows the API of all three doors on one page without scripts', async () => {
		const { status, headers, text } = await city.call(null, 'GET', '/docs');
		expect([status, headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
		expect(headers.get('content-security-policy')).toMatch(/default-src 'none'; style-src 'sha256-[\w+/=]+'/);
		expect(text).not.toMatch(/<script|https?:\/\/(?!json-schema)/);
		for (const { path } of [...edgeRoutes, ...ingestRoutes, ...controlPlaneRoutes]) expect(text).toContain(path);
		expect(text).toContain('least role: operator');
	});

	it('shows public keys only', async () => {
		const { json, text } = await city.call(null, 'GET', '/.well-known/jwks.json');
		expect(json.keys).toHaveLength(1);
		expect(text).not.toContain('"d"');
	});

	it('is ready, and counts', async () => {
		expect((await city.call(null, 'GET', '/readyz')).status).toBe(200);
		expect((await city.call(null, 'GET', '/metrics')).text).toContain('http_requests_total');
	});
});

describe('regions', () => {
	const input = { name: 'New', time_zone: 'Asia/Tokyo' };

	it('PUT creates an entry that its shard has before the answer, and changes it', async () => {
		const created = await operator('PUT', 'regions/born', {
			...input,
			holidays: 'US-NY',
			neighbours: ['not-yet-there'],
			profile: Array.from({ length: 168 }, () => 1),
		});
		expect([created.status, created.json]).toMatchObject([201, { region_id: 'born', rule_set: 'city', frozen: false, version: 1, minutes_per_booking: 20 }]);
		expect(created.json.holiday_dates).toContain(`${new Date().getUTCFullYear()}-12-25`);
		expect(shardOf('born').entries.get('born')).toEqual(created.json);
		const changed = await operator('PUT', 'regions/born', { ...input, name: 'Grown' });
		expect([changed.status, changed.json]).toMatchObject([200, { name: 'Grown', holidays: null, holiday_dates: [], profile: null, version: 2 }]);
		expect(shardOf('born').entries.get('born')).toEqual(changed.json);
		expect((await viewer('regions/born')).json).toEqual(changed.json);
		expect((await viewer('regions?limit=1')).json.items[0]).toEqual(changed.json);
	});

	it('frozen survives a PUT, and the edge hears of it', async () => {
		await operator('PUT', 'regions/icy', input);
		const frozen = await operator('PUT', 'regions/icy/freeze', { frozen: true });
		expect([frozen.status, frozen.json]).toMatchObject([200, { region_id: 'icy', frozen: true, version: 2 }]);
		expect(shardOf('icy').entries.get('icy')?.frozen).toBe(true);
		expect((await operator('PUT', 'regions/icy', input)).json).toMatchObject({ frozen: true, version: 3 });
		expect((await operator('PUT', 'regions/icy/freeze', { frozen: false })).json).toMatchObject({ frozen: false, version: 4 });
		expect(shardOf('icy').entries.get('icy')?.frozen).toBe(false);
	});

	it.each<[string, unknown, string]>([
		['no name', { time_zone: 'UTC' }, '/name'],
		['no time zone', { name: 'x' }, '/time_zone'],
		['an impossible time zone', { ...input, time_zone: 'Mars/Olympus' }, '/time_zone'],
		['a rule set that is not published', { ...input, rule_set: 'never' }, '/rule_set'],
		['a rule set named like an inherited property', { ...input, rule_set: 'constructor' }, '/rule_set'],
		['a profile of 24', { ...input, profile: Array.from({ length: 24 }, () => 1) }, '/profile'],
		['holidays of nowhere', { ...input, holidays: 'ZZ' }, '/holidays'],
		['holidays of no state', { ...input, holidays: 'US-QQ' }, '/holidays'],
		['its own id', { ...input, region_id: 'x' }, '/region_id'],
		['a currency', { ...input, currency: 'SGD' }, '/currency'],
		['frozen', { ...input, frozen: true }, '/frozen'],
	])('refuses %s', async (_, body, path) => {
		refused(await operator('PUT', 'regions/sg-central', body), 422, 'invalid', path);
	});

	it('refuses ids that are none, and what is not there', async () => {
		refused(await operator('PUT', 'regions/Not-An-Id', input), 422, 'invalid', '/region_id');
		refused(await viewer('regions/nowhere'), 404, 'unknown_region');
		refused(await operator('PUT', 'regions/nowhere/freeze', { frozen: true }), 404, 'unknown_region');
		refused(await operator('PUT', 'regions/sg-central/freeze', {}), 422, 'invalid', '/frozen');
		refused(await operator('PUT', 'regions/sg-central/freeze', { frozen: false, until: 'noon' }), 422, 'invalid', '/until');
	});

	it('answers 503 when the shard does not answer, keeps the entry, and delivers it later', async () => {
		const shard = shardOf('late');
		shard.down = true;
		const answer = await operator('PUT', 'regions/late', input);
		refused(answer, 503, 'unavailable');
		expect((await viewer('regions/late')).status).toBe(200);
		shard.down = false;
		expect(await city.controlPlane.reconcileNow()).toEqual({ behind: [], kv: true });
		expect(shard.entries.get('late')?.version).toBe(1);
		expect((await operator('PUT', 'regions/late', input)).status).toBe(200);
	});

	it('pages through all, newest first, and refuses foreign cursors', async () => {
		const seen: string[] = [];
		let cursor: string | null = '';
		while (cursor !== null) {
			const { json }: Answered = await viewer(`regions?limit=2${cursor && `&cursor=${cursor}`}`);
			seen.push(...json.items.map((one: { region_id: string }) => one.region_id));
			cursor = json.next_cursor;
		}
		expect(seen).toEqual(['late', 'icy', 'born', 'sg-airport', 'sg-central']);
		for (const query of ['limit=0', 'limit=501', 'limit=x', 'limit=-1', 'limit=1.5']) refused(await viewer(`regions?${query}`), 422, 'invalid', '/limit');
		for (const bad of ['x', 'bnVsbA', 'e30', 'MWUzMDA', 'LTE', 'OTAwNzE5OTI1NDc0MDk5MQ', '%00'])
			for (const list of ['regions', 'rule-sets', 'releases', 'models', 'config-changes'])
				refused(await viewer(`${list}?cursor=${bad}`), 422, 'invalid', '/cursor');
	});

	it('readCatalogue() tells what changed since', async () => {
		const { entries, change } = await readCatalogue(city.database.connection);
		expect(entries).toHaveLength(5);
		await operator('PUT', 'regions/icy', { ...input, name: 'Icier' });
		const next = await readCatalogue(city.database.connection, { after: change });
		expect(next.entries.map(({ region_id, name }) => [region_id, name])).toEqual([['icy', 'Icier']]);
		expect((await readCatalogue(city.database.connection, { after: next.change })).entries).toEqual([]);
	});
});

describe('rule sets', () => {
	it('are kept as written and numbered over all names', async () => {
		const { name, currency, surge, rounding } = cityDocument({ name: 'least' });
		const written = { rounding, name, products: { ride: { base_price: '1.00' } }, surge, currency };
		const version = await save(written);
		expect(await save(cityDocument({ name: 'other' }))).toBe(version + 1);
		const { json, text } = await viewer(`rule-sets/${version}`);
		expect(json).toMatchObject({ version, name: 'least', created_by: 'a-author' });
		expect(json.created_at).toMatch(/Z$/);
		expect(text).toContain(`"document":${JSON.stringify(written)}`);
		expect((await viewer('rule-sets?limit=1')).json.items).toMatchObject([{ version: version + 1, name: 'other' }]);
	});

	it('are refused with all their faults, and nothing is saved', async () => {
		const before = (await viewer('rule-sets?limit=1')).json.items[0].version;
		const answer = await city.call('author', 'POST', '/api/v1/rule-sets', {
			body: cityDocument({ currency: 'dollars', surges: {}, rounding: { step: '0', mode: 'up' } }),
		});
		refused(answer, 422, 'invalid', '/currency');
		refused(answer, 422, 'invalid', '/surges');
		const adjustment = { id: 'a', when: 'region.id ==', priority: 1, active_from: null, active_to: null };
		const cut = await city.call('author', 'POST', '/api/v1/rule-sets', {
			body: cityDocument({ adjustments: [{ ...adjustment, then: { add_multiplier: 0.1 } }] }),
		});
		refused(cut, 422, 'invalid', '/adjustments/0/when');
		expect(cut.json.errors[0].offset).toBeTypeOf('number');
		refused(await city.call('author', 'POST', '/api/v1/rule-sets', { raw: '{' }), 400, 'malformed_json');
		refused(await city.call('author', 'POST', '/api/v1/rule-sets', { raw: '{}', headers: { 'content-encoding': 'gzip' } }), 415, 'unsupported_media_type');
		refused(await city.call('author', 'POST', '/api/v1/rule-sets', { raw: 'x'.repeat(limits.body_bytes_max + 1) }), 413, 'too_large');
		refused(await city.call('author', 'POST', '/api/v1/rule-sets', { raw: '['.repeat(30_000) + ']'.repeat(30_000) }), 422, 'invalid');
		expect((await viewer('rule-sets?limit=1')).json.items[0].version).toBe(before);
	});

	it('differ by the places that differ', async () => {
		const a = await save(cityDocument({ name: 'diff' }));
		const products = { standard_ride: { base_price: '20.00', per_km: '0', minimum: '6.00', regions: {} } };
		const b = await save(cityDocument({ name: 'diff', products, validity_seconds: 60 }));
		expect((await viewer(`rule-sets/${a}/diff/${b}`)).json).toEqual({
			changes: [
				{ path: '/products/standard_ride/base_price', from: '12.00', to: '20.00' },
				{ path: '/products/standard_ride/regions/sg-airport', from: { base_price: '14.00' }, to: null },
				{ path: '/validity_seconds', from: 120, to: 60 },
			],
		});
		expect((await viewer(`rule-sets/${a}/diff/${a}`)).json).toEqual({ changes: [] });
		refused(await viewer(`rule-sets/${a}/diff/999999`), 404, 'not_found');
	});
});

describe('releases', () => {
	it('put one version in place and leave the others', async () => {
		const first = await publish(cityDocument({ name: 'tokyo' }));
		const second = await publish(cityDocument({ name: 'tokyo', validity_seconds: 60 }));
		expect(second.release).toBeGreaterThan(first.release);
		const { json } = await viewer('releases/current');
		expect(json).toMatchObject({ release: second.release, created_by: 'a-operator', missing: [], models: { champion: null } });
		expect(json.rule_sets).toMatchObject({ city: 1, tokyo: second.version });
		expect(json.acknowledged.map((one: { shard: number }) => one.shard)).toEqual([0, 1, 2, 3]);
		expect(city.edge.shards.every((shard) => shard.release?.release === second.release)).toBe(true);
		const digest = city.edge.shards[0]!.release!.rule_sets['tokyo']!.digest;
		expect(JSON.parse(city.edge.kv.get(`rule-set/${digest}`)!)).toEqual(cityDocument({ name: 'tokyo', validity_seconds: 60 }));
		expect(JSON.parse(city.edge.kv.get('release')!)).toEqual(city.edge.shards[0]!.pointer);
		expect((await viewer('releases?limit=2')).json.items.map((one: { release: number }) => one.release)).toEqual([second.release, first.release]);
	});

	it('go back under a new number, but never take a region’s rule set away', async () => {
		const old = (await viewer('releases/current')).json;
		await publish(cityDocument({ name: 'osaka' }));
		const raised = await publish(cityDocument({ name: 'tokyo', validity_seconds: 30 }));
		await operator('PUT', 'regions/osaka-1', { name: 'Osaka', time_zone: 'Asia/Tokyo', rule_set: 'osaka' });
		const early = await operator('POST', `releases/${old.release}/rollback`);
		refused(early, 409, 'conflict');
		expect(early.json.detail).toContain('osaka-1');
		await operator('PUT', 'regions/osaka-1', { name: 'Osaka', time_zone: 'Asia/Tokyo' });
		const back = await operator('POST', `releases/${old.release}/rollback`);
		expect([back.status, back.json]).toEqual([201, { release: raised.release + 1 }]);
		expect((await viewer('releases/current')).json).toMatchObject({ release: raised.release + 1, rule_sets: old.rule_sets });
		refused(await operator('PUT', 'regions/osaka-1', { name: 'Osaka', time_zone: 'Asia/Tokyo', rule_set: 'osaka' }), 422, 'invalid', '/rule_set');
	});

	it('are not there when they are not there', async () => {
		refused(await operator('POST', 'rule-sets/999999/publish'), 404, 'not_found');
		refused(await operator('POST', 'releases/999999/rollback'), 404, 'not_found');
		refused(await operator('POST', 'releases/current/rollback'), 404, 'not_found');
		refused(await viewer('releases/999999'), 404, 'not_found');
	});

	it('take their order from one queue when published at once', async () => {
		const versions = await Promise.all(['a', 'b', 'c', 'd'].map((name) => save(cityDocument({ name: `queue-${name}` }))));
		const answers = await Promise.all(versions.map((version) => operator('POST', `rule-sets/${version}/publish`)));
		const numbers = answers.map(({ json }) => json.release).sort((a, b) => a - b);
		expect(numbers.map((number) => number - numbers[0])).toEqual([0, 1, 2, 3]);
		expect(Object.keys((await viewer('releases/current')).json.rule_sets)).toEqual(expect.arrayContaining(['queue-a', 'queue-b', 'queue-c', 'queue-d']));
	});
});

describe('config changes', () => {
	it('tell who did what, from and to, newest first, and nothing that was refused', async () => {
		await operator('PUT', 'regions/changed', { name: 'One', time_zone: 'UTC' });
		await operator('PUT', 'regions/changed/freeze', { frozen: true });
		await operator('PUT', 'regions/changed', { name: 'One' });
		const { version, release } = await publish(cityDocument({ name: 'changes' }));
		const { items } = (await viewer('config-changes?limit=4')).json;
		expect(items).toMatchObject([
			{
				who: 'a-operator',
				what: `POST /api/v1/rule-sets/${version}/publish`,
				from: { release: release - 1, rule_set: null },
				to: { release, rule_set: version },
			},
			{ who: 'a-author', what: 'POST /api/v1/rule-sets', from: null, to: { version, name: 'changes' } },
			{ who: 'a-operator', what: 'PUT /api/v1/regions/changed/freeze', from: { frozen: false }, to: { frozen: true } },
			{ who: 'a-operator', what: 'PUT /api/v1/regions/changed', from: null, to: { region_id: 'changed', name: 'One' } },
		]);
		for (const { at } of items) expect(at).toMatch(/^\d{4}-.*Z$/);
	});
});

describe('features', () => {
	it('are nulls before any event, and named afterwards', async () => {
		const empty = await viewer('features/sg-central');
		expect([empty.status, empty.json]).toMatchObject([200, { region_id: 'sg-central', feature_set: 'v1', version: null, as_of: null, age_ms: null }]);
		expect(Object.keys(empty.json.features)).toEqual([...featureNames]);
		const values = featureNames.map((_, at) => (at === 5 ? null : at));
		shardOf('sg-central').features.set('sg-central', { version: 4_294_967_297, as_of: 1_768_127_399_000, values });
		const { json } = await viewer('features/sg-central');
		expect(json).toMatchObject({ version: 4_294_967_297, as_of: '2026-01-11T10:29:59Z', age_ms: 1000 });
		expect([json.features.hour, json.features.day_of_week, json.features.booking_count_1min]).toEqual([0, 1, null]);
	});

	it('are of known regions of an edge that answers', async () => {
		refused(await viewer('features/nowhere'), 404, 'unknown_region');
		city.edge.down = true;
		refused(await viewer('features/sg-central'), 503, 'unavailable');
		city.edge.down = false;
	});
});

describe('models', () => {
	const file = new Uint8Array([8, 9, 10, 11]);
	const manifest = (more: Record<string, unknown> = {}) => ({
		name: 'demand',
		version: 1,
		digest: createHash('sha256').update(file).digest('hex'),
		feature_set: 'v1',
		inputs: ['usual_60min', 'recent_bookings'],
		outputs: { '15': 'expected_15min', '30': 'expected_30min', '60': 'expected_60min' },
		domain: { history_days_min: 7, usual_60min: [0.05, 2000], clip: { recent_bookings: [0, 1500] } },
		output_range: [0, 5000],
		intervals: Object.fromEntries(['15', '30', '60'].map((horizon) => [horizon, Array.from({ length: 9 }, () => 1.3)])),
		figures: {},
		golden: [{ inputs: [10, 4], outputs: [1, 1, 1] }],
		data: { source: 'test', from: '2015-01-01', to: '2015-04-01', rows: 10 },
		code_revision: 'test',
		...more,
	});
	const register = async (parts: { manifest?: unknown; model?: Uint8Array<ArrayBuffer>; other?: string }) => {
		const form = new FormData();
		if (parts.manifest !== undefined) form.set('manifest', typeof parts.manifest === 'string' ? parts.manifest : JSON.stringify(parts.manifest));
		if (parts.model) form.set('model', new Blob([parts.model]), 'model.onnx');
		if (parts.other) form.set('other', parts.other);
		const encoded = new Response(form);
		return city.call('author', 'POST', '/api/v1/models', {
			raw: await encoded.arrayBuffer(),
			headers: { 'content-type': encoded.headers.get('content-type')! },
		});
	};
	const models = async () => (await viewer('releases/current')).json.models;

	it('refuses what is no model, names why, and lists nothing of it', async () => {
		refused(await register({}), 422, 'invalid');
		refused(await register({ manifest: manifest(), model: file, other: 'x' }), 422, 'invalid', '/other');
		refused(await register({ manifest: manifest() }), 422, 'invalid', '/model');
		refused(await register({ model: file }), 422, 'invalid', '/manifest');
		refused(await register({ manifest: '{', model: file }), 422, 'invalid', '/manifest');
		refused(await register({ manifest: manifest({ code_revision: 'x'.repeat(limits.manifest_bytes_max) }), model: file }), 422, 'invalid', '/manifest');
		refused(await register({ manifest: manifest(), model: new Uint8Array() }), 422, 'invalid', '/model');
		refused(await register({ manifest: manifest(), model: new Uint8Array([8, 9, 10, 12]) }), 422, 'invalid', '/manifest/digest');
		refused(await register({ manifest: manifest({ inputs: ['rainfall'] }), model: file }), 422, 'invalid', '/manifest/inputs/0');
		refused(await register({ manifest: manifest({ surprise: 1 }), model: file }), 422, 'invalid', '/manifest/surprise');
		refused(await register({ manifest: manifest({ golden: [{ inputs: [1], outputs: [1, 1, 1] }] }), model: file }), 422, 'invalid', '/manifest/golden');
		refused(
			await city.call('author', 'POST', '/api/v1/models', { raw: 'no form', headers: { 'content-type': 'multipart/form-data; boundary=x' } }),
			422,
			'invalid',
		);
		refused(await city.call('author', 'POST', '/api/v1/models', { body: {} }), 415, 'unsupported_media_type');
		expect((await viewer('models')).json).toEqual({ items: [], next_cursor: null });
		refused(await viewer('models/demand/1'), 404, 'not_found');
	});

	it('refuses a model that does not run at the edge as its manifest says', async () => {
		const plain = city.edge.tried;
		const answers: [string, typeof plain][] = [
			['/model', () => ({ error: 'no such operator: Foo' })],
			[
				'/manifest/outputs/60',
				(rows) => {
					const answer = plain(rows);
					if ('outputs' in answer) delete answer.outputs['expected_60min'];
					return answer;
				},
			],
			[
				'/manifest/outputs/15',
				(rows) => {
					const answer = plain(rows);
					if ('outputs' in answer) answer.outputs['expected_15min'] = { batch: rows.map(() => null), single: rows.map(() => null) };
					return answer;
				},
			],
			[
				'/manifest/outputs/15',
				(rows) => {
					const answer = plain(rows);
					if ('outputs' in answer) answer.outputs['expected_15min'] = { batch: rows.map(() => 9000), single: rows.map(() => 9000) };
					return answer;
				},
			],
			[
				'/manifest/outputs/30',
				(rows) => {
					const answer = plain(rows);
					if ('outputs' in answer) answer.outputs['expected_30min'] = { batch: rows.map(() => 1), single: rows.map(() => 2) };
					return answer;
				},
			],
			[
				'/manifest/outputs/30',
				(rows) => {
					const answer = plain(rows);
					if ('outputs' in answer) answer.outputs['expected_30min'] = { batch: rows.map(() => 1.01), single: rows.map(() => 1.01) };
					return answer;
				},
			],
		];
		for (const [path, tried] of answers) {
			city.edge.tried = tried;
			refused(await register({ manifest: manifest(), model: file }), 422, 'invalid', path);
		}
		city.edge.tried = plain;
		city.edge.down = true;
		refused(await register({ manifest: manifest(), model: file }), 503, 'unavailable');
		city.edge.down = false;
		expect((await viewer('models')).json.items).toEqual([]);
	});

	it('registers a model with the report of its gate, inert until it is promoted, and never twice', async () => {
		const before = await models();
		const answer = await register({ manifest: manifest(), model: file });
		expect(answer.status, answer.text).toBe(201);
		expect(answer.json).toMatchObject({ name: 'demand', version: 1, state: 'registered' });
		expect(answer.json.report.length).toBeGreaterThan(5);
		expect(answer.json.report.every(({ ok }: { ok: boolean }) => ok)).toBe(true);
		refused(await register({ manifest: manifest(), model: file }), 409, 'conflict');
		expect((await viewer('models/demand/1')).json).toMatchObject({
			name: 'demand',
			version: 1,
			state: 'registered',
			manifest: manifest(),
			created_by: 'a-author',
		});
		expect(await models()).toEqual(before);
		expect((await register({ manifest: manifest({ version: 2 }), model: file })).status).toBe(201);
		expect((await viewer('models')).json.items.map(({ version }: { version: number }) => version)).toEqual([2, 1]);
	});

	it('promotes through releases: the file and its manifest are in KV before the pointer names them', async () => {
		refused(await operator('POST', 'models/demand/9/promote', { to: 'shadow' }), 404, 'not_found');
		refused(await operator('POST', 'models/demand/1/promote', { to: 'emperor' }), 422, 'invalid', '/to');
		refused(await operator('POST', 'models/demand/1/promote', { to: 'canary', percent: 101 }), 422, 'invalid', '/percent');
		refused(await operator('POST', 'models/demand/1/promote', { to: 'canary' }), 422, 'invalid', '/percent');
		refused(await operator('POST', 'models/demand/1/promote', { to: 'champion', percent: 1 }), 422, 'invalid', '/percent');
		const before = (await viewer('releases/current')).json.release;
		city.edge.calls.length = 0;
		const champion = await operator('POST', 'models/demand/1/promote', { to: 'champion' });
		expect([champion.status, champion.json]).toEqual([201, { release: before + 1 }]);
		expect(city.edge.calls.indexOf('putBytes model')).toBeLessThan(city.edge.calls.indexOf('putBody release'));
		expect(await models()).toMatchObject({ champion: { name: 'demand', version: 1 }, canary: null, shadows: [] });
		expect((await operator('POST', 'models/demand/2/promote', { to: 'canary', percent: 10 })).status).toBe(201);
		expect(await models()).toMatchObject({ champion: { version: 1 }, canary: { version: 2, percent: 10 } });
		expect((await viewer('models/demand/2')).json).toMatchObject({ state: 'canary', percent: 10 });
		expect((await operator('POST', 'models/demand/1/promote', { to: 'shadow' })).status).toBe(201);
		expect(await models()).toMatchObject({ champion: null, canary: { version: 2 }, shadows: [{ version: 1 }] });
		// A publish keeps the models; a rollback brings back the old ones.
		const { release } = await publish(cityDocument());
		expect(await models()).toMatchObject({ canary: { version: 2 }, shadows: [{ version: 1 }] });
		expect((await operator('POST', `releases/${champion.json.release}/rollback`)).status).toBe(201);
		expect(await models()).toMatchObject({ champion: { version: 1 }, canary: null, shadows: [] });
		expect(release).toBeGreaterThan(champion.json.release);
		expect((await viewer('config-changes?limit=1')).json.items[0].what).toContain('rollback');
	});

	it('changes nothing when KV does not take the model', async () => {
		expect((await register({ manifest: manifest({ version: 3 }), model: file })).status).toBe(201);
		city.edge.kvDown = true;
		const before = (await viewer('releases/current')).json.release;
		refused(await operator('POST', 'models/demand/3/promote', { to: 'champion' }), 503, 'unavailable');
		city.edge.kvDown = false;
		expect((await viewer('releases/current')).json.release).toBe(before);
	});
});
