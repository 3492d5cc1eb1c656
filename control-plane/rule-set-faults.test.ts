// What POST /api/v1/rule-sets refuses: rows R2 to R4 of bad rules.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileRuleSet } from '#models/pricing/compile-rule-set.ts';
import { cityDocument, type TestControlPlane, testControlPlane } from './test-control-plane.ts';

let city: TestControlPlane;
beforeAll(async () => {
	city = await testControlPlane();
}, 60_000);
afterAll(() => city.close());

const save = (document: unknown) => city.call('author', 'POST', '/api/v1/rule-sets', { body: document });
const saved = async () => (await city.call('viewer', 'GET', '/api/v1/rule-sets?limit=1')).json.items[0].version;
const surge = (more: object) => ({ surge: { ...(cityDocument()['surge'] as object), ...more } });
const when = (condition: string) => ({ adjustments: [{ id: 'a', when: condition, then: { add_multiplier: 0.1 } }] });

describe('R2: a rule set with a fault is refused at its place, and nothing is saved', () => {
	it.each<[string, Record<string, unknown>, string]>([
		['min above max', surge({ min_multiplier: 4 }), '/surge/min_multiplier'],
		['an unknown field', { surges: {} }, '/surges'],
		['an unknown field within', surge({ max_multiplyer: 2 }), '/surge/max_multiplyer'],
		['no currency', { currency: undefined }, '/currency'],
		['a wrong type', surge({ max_multiplier: '3' }), '/surge/max_multiplier'],
		[
			'an unsorted curve',
			surge({
				demand_curve: [
					[0, 0],
					[0.9, 0.1],
					[0.5, 0.2],
					[1, 0.3],
				],
			}),
			'/surge/demand_curve/2/0',
		],
		['money with too many digits', { rounding: { step: '0.001', mode: 'up' } }, '/rounding/step'],
	])('%s', async (_, more, path) => {
		const before = await saved();
		const { status, json } = await save(cityDocument(more));
		expect([status, json.code]).toEqual([422, 'invalid']);
		expect(json.errors.map((error: { path: string }) => error.path)).toContain(path);
		expect(await saved()).toBe(before);
	});

	it.each([
		['a condition that ends too soon', 'region.id =='],
		['a condition of another type', "features.demand_trend == 'high'"],
		['an unknown field in a condition', 'features.rainfall > 1.0'],
	])('%s, with the position inside it', async (_, condition) => {
		const { status, json } = await save(cityDocument(when(condition)));
		expect(status).toBe(422);
		expect(json.errors[0].path).toBe('/adjustments/0/when');
		expect(json.errors[0].offset).toBeGreaterThanOrEqual(0);
		expect(json.errors[0].offset).toBeLessThanOrEqual(condition.length);
	});
});

describe('R3: a condition that would cost too much is refused by static limits, at once', () => {
	it.each([
		['5,000 nested parentheses', `${'('.repeat(5000)}true${')'.repeat(5000)}`],
		['nested parentheses within the length', `${'('.repeat(900)}true${')'.repeat(900)}`],
		['a list of 200,000 elements', `1 in [${Array.from({ length: 200_000 }, () => 1).join(',')}]`],
		['a list of 900 elements', `1 in [${Array.from({ length: 900 }, () => 1).join(',')}]`],
		['nested map', '[1,2].map(a, [1,2].map(b, [1,2].map(c, [1,2].map(d, a + b + c + d)))).size() > 0'],
		['a catastrophic pattern', "region.id.matches('^(a+)+$')"],
	])('%s', async (_, condition) => {
		const before = await saved();
		const { status, json } = await save(cityDocument(when(condition)));
		expect([status, json.errors[0].path], JSON.stringify(json.errors)).toEqual([422, '/adjustments/0/when']);
		expect(await saved()).toBe(before);
	});
});

describe('R4: two adjustments of the same priority', () => {
	const adjustment = (id: string) => ({ id, when: 'true', then: { set_price: `${id.length}.00` }, priority: 5 });

	it('have the same order on every node, whichever way round they were written', async () => {
		const orders = await Promise.all(
			[
				['b', 'aa', 'z', 'a-1'],
				['a-1', 'z', 'aa', 'b'],
			].map(async (ids) => {
				const { json } = await save(cityDocument({ name: 'tied', adjustments: ids.map(adjustment) }));
				const { document } = (await city.call('viewer', 'GET', `/api/v1/rule-sets/${json.version}`)).json;
				const compiled = compileRuleSet(document); // what every isolate does with it
				return compiled.ok ? compiled.ruleSet.price_actions.map(({ kind }) => kind) : compiled.errors;
			}),
		);
		expect(orders).toEqual([
			['rule:a-1', 'rule:aa', 'rule:b', 'rule:z'],
			['rule:a-1', 'rule:aa', 'rule:b', 'rule:z'],
		]);
	});

	it('must not share an id', async () => {
		const { status, json } = await save(cityDocument({ adjustments: [adjustment('a'), adjustment('a')] }));
		expect([status, json.errors[0].path]).toEqual([422, '/adjustments/1/id']);
	});
});
