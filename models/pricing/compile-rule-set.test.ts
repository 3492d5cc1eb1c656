import { describe, expect, it } from 'vitest';
import { currencyDigits } from '#schemas/currency.ts';
import { limits } from '#schemas/limits.ts';
import type { FieldError } from '#schemas/problem.ts';
import { compileRuleSet } from './compile-rule-set.ts';

// biome-ignore lint/suspicious/noExplicitAny: documents are broken on purpose
type Loose = any;
const flat = (value: number) => [
	[0, value],
	[1, value],
];
const document = ({ surge = {}, ...more }: Loose = {}): Loose => ({
	name: 'city',
	currency: 'SGD',
	products: { ride: { base_price: '12.00' } },
	surge: { min_multiplier: 1, max_multiplier: 3, horizon_minutes: 15, demand_curve: flat(0.1), supply_curve: flat(0), ...surge },
	rounding: { step: '0.05', mode: 'up' },
	...more,
});
const adjustment = (id: string, when: string, then: Loose = { add_multiplier: 0.1 }) => ({ id, when, then });
const errors = (value: unknown): FieldError[] => {
	const result = compileRuleSet(value);
	return result.ok ? [] : result.errors;
};
const paths = (value: unknown): string[] => errors(value).map(({ path }) => path);
const compiled = (value: unknown) => {
	const result = compileRuleSet(value);
	if (!result.ok) throw new Error(JSON.stringify(result.errors));
	return result.ruleSet;
};

describe('compileRuleSet()', () => {
	it('fills in the defaults of a document with only what is required', () => {
		const ruleSet = compiled(document());
		expect(ruleSet.document).toMatchObject({
			products: { ride: { base_price: '12.00', per_km: '0', minimum: null, regions: {} } },
			adjustments: [],
			validity_seconds: 120,
			staleness: { fresh_seconds: 120, stale_seconds: 600 },
		});
		expect(ruleSet.products.get('ride')?.everywhere).toEqual({ base: 1200, per_km: 0, minimum: 5 });
		expect([ruleSet.validity_ms, ruleSet.fresh_ms, ruleSet.stale_ms]).toEqual([120_000, 120_000, 600_000]);
	});

	it('overrides for a region any of base_price, per_km and minimum, and keeps the others', () => {
		const regions = { a: { base_price: '14.00' }, b: { per_km: '0.50', minimum: '8.00' } };
		const { products } = compiled(document({ products: { ride: { base_price: '12.00', per_km: '0.10', minimum: '6.00', regions } } }));
		expect(Object.fromEntries(products.get('ride')?.regions ?? [])).toEqual({
			a: { base: 1400, per_km: 10, minimum: 600 },
			b: { base: 1200, per_km: 50, minimum: 800 },
		});
	});

	it('sorts adjustments by priority, then by id in code units (R4)', () => {
		const list = ['b', 'a', 'a_', 'a-', 'a0'].map((id) => adjustment(id, 'true'));
		const { additions } = compiled(document({ adjustments: [...list, { ...adjustment('z', 'true'), priority: -1 }] }));
		expect(additions.map(({ kind }) => kind)).toEqual(['z', 'a', 'a-', 'a0', 'a_', 'b'].map((id) => `rule:${id}`));
	});

	it('tells all faults at once, those of conditions beside those of the schema (R2)', () => {
		expect(
			paths(
				document({
					adjustments: [adjustment('a', 'features.rain > 0'), adjustment('b', 'true', { set_price: '1.005' }), adjustment('c', '1 +')],
					products: { ride: { base_price: '1.005', minimum: '6.02' } },
				}),
			),
		).toEqual(['/products/ride/base_price', '/products/ride/minimum', '/adjustments/0/when', '/adjustments/1/then/set_price', '/adjustments/2/when']);
		expect(errors({ ...document({ adjustments: [adjustment('a', 'true && features.rain > 0')] }), surges: 1, currency: 'dollars' })).toEqual([
			{ path: '/currency', message: 'must be a currency code of ISO 4217, like SGD' },
			{ path: '/surges', message: 'unknown field' },
			{ path: '/adjustments/0/when', message: 'uses unknown field features.rain', offset: 8 },
		]);
	});

	const products = (ride: Loose) => document({ products: { ride } });
	const then = (action: Loose) => document({ adjustments: [adjustment('a', 'true', action)] });
	it.each<[string, unknown, string]>([
		['nothing', null, ''],
		['a list', [], ''],
		['a missing base_price', products({}), '/products/ride/base_price'],
		['no products', document({ products: {} }), '/products'],
		[
			'too many products',
			document({ products: Object.fromEntries(Array.from({ length: limits.products_max + 1 }, (_, i) => [`p${i}`, { base_price: '1' }])) }),
			'/products',
		],
		['a product named __proto__', JSON.parse(JSON.stringify(document()).replace('"ride"', '"__proto__"')), '/products/__proto__'],
		['a region in capitals', products({ base_price: '1', regions: { SG: {} } }), '/products/ride/regions/SG'],
		['a currency in small letters', document({ currency: 'sgd' }), '/currency'],
		['a currency that is no money', document({ currency: 'XAU' }), '/currency'],
		['money as a number', products({ base_price: 12 }), '/products/ride/base_price'],
		['money with a sign', products({ base_price: '-1' }), '/products/ride/base_price'],
		['money with a comma', products({ base_price: '1,00' }), '/products/ride/base_price'],
		['money with a space', products({ base_price: ' 1' }), '/products/ride/base_price'],
		['money with a line feed', products({ base_price: '1\n' }), '/products/ride/base_price'],
		['money without a digit after the point', products({ base_price: '1.' }), '/products/ride/base_price'],
		['ten digits', products({ base_price: '1234567890' }), '/products/ride/base_price'],
		['a minimum of 0', products({ base_price: '1', minimum: '0.00' }), '/products/ride/minimum'],
		['a minimum below the step', products({ base_price: '1', minimum: '0.04' }), '/products/ride/minimum'],
		['a minimum of a region off the grid', products({ base_price: '1', regions: { a: { minimum: '0.07' } } }), '/products/ride/regions/a/minimum'],
		['five decimals', document({ surge: { max_multiplier: 2.00001 } }), '/surge/max_multiplier'],
		['a curve beyond 1000', document({ surge: { demand_curve: flat(1000.1) } }), '/surge/demand_curve/0/1'],
		[
			'a point of three',
			document({
				surge: {
					demand_curve: [
						[0, 0, 0],
						[1, 1],
					],
				},
			}),
			'/surge/demand_curve/0',
		],
		['min over max', document({ surge: { min_multiplier: 3, max_multiplier: 1 } }), '/surge/min_multiplier'],
		['no max_multiplier', document({ surge: { max_multiplier: undefined } }), '/surge/max_multiplier'],
		['a horizon of 45', document({ surge: { horizon_minutes: 45 } }), '/surge/horizon_minutes'],
		['fresh as stale', document({ staleness: { fresh_seconds: 600 } }), '/staleness/fresh_seconds'],
		['a validity of 0', document({ validity_seconds: 0 }), '/validity_seconds'],
		['four decimals of a second', document({ validity_seconds: 1.0001 }), '/validity_seconds'],
		['two actions', then({ add_multiplier: 1, set_price: '1' }), '/adjustments/0/then'],
		['no action', then({}), '/adjustments/0/then'],
		['a cap of 0', then({ cap_multiplier: 0 }), '/adjustments/0/then/cap_multiplier'],
		[
			'an instant without offset',
			document({ adjustments: [{ ...adjustment('a', 'true'), active_from: '2026-01-11T10:30:00' }] }),
			'/adjustments/0/active_from',
		],
		[
			'an end before its beginning',
			document({ adjustments: [{ ...adjustment('a', 'true'), active_from: '2026-01-11T10:30:00Z', active_to: '2026-01-11T18:30:00+08:00' }] }),
			'/adjustments/0/active_to',
		],
		['a priority of a half', document({ adjustments: [{ ...adjustment('a', 'true'), priority: 0.5 }] }), '/adjustments/0/priority'],
		['no condition', document({ adjustments: [{ id: 'a', ['then']: { add_multiplier: 1 } }] }), '/adjustments/0/when'],
		['an id twice', document({ adjustments: [adjustment('a', 'true'), adjustment('a', 'true')] }), '/adjustments/1/id'],
		['a step of three digits', document({ rounding: { step: '0.005', mode: 'up' } }), '/rounding/step'],
		['no rounding mode: there is no default', document({ rounding: { step: '0.05' } }), '/rounding/mode'],
	])('refuses %s', (_, value, path) => {
		expect(paths(value)).toContain(path);
	});

	it('takes multipliers, curves and money up to their limits', () => {
		compiled(document({ surge: { max_multiplier: 1000, demand_curve: Array.from({ length: 64 }, (_, i) => [i / 63, i % 2 ? -1000 : 1000]) } }));
		compiled(document({ currency: 'KWD', products: { ride: { base_price: '999999999.999' } }, rounding: { step: '0.001', mode: 'up' } }));
		compiled(document({ currency: 'JPY', products: { ride: { base_price: '1200' } }, rounding: { step: '10', mode: 'down' } }));
		compiled(document({ adjustments: Array.from({ length: limits.adjustments_max }, (_, i) => adjustment(`a${i}`, 'true')) }));
	});

	it('refuses 200 conditions of 2,000 hostile characters (R3)', () => {
		for (const when of [
			`${'('.repeat(999)}1${')'.repeat(999)}`,
			`${'!'.repeat(1996)}true`,
			`${Array(998).fill('1').join('+')} > 'a'`,
			`region.id in [${"'a',".repeat(490)}]`,
		])
			expect(errors(document({ adjustments: Array.from({ length: limits.adjustments_max }, (_, i) => adjustment(`a${i}`, when)) }))).toHaveLength(
				limits.adjustments_max,
			);
	});
});

describe('currencyDigits()', () => {
	it('knows the digits of ISO 4217 and nothing else', () => {
		expect(['SGD', 'USD', 'EUR', 'JPY', 'KRW', 'KWD', 'BHD', 'CLF'].map(currencyDigits)).toEqual([2, 2, 2, 0, 0, 3, 3, 4]);
		for (const code of ['sgd', 'XXX', 'XAU', '', 'constructor', 'SGDX']) expect(currencyDigits(code)).toBeUndefined();
	});
});
