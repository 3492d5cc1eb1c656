import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DecisionInputs } from '#schemas/decision.ts';
import { type FeatureName, featureNames } from '#schemas/feature.ts';
import type { Forecast } from '#schemas/forecast.ts';
import { limits } from '#schemas/limits.ts';
import { type PriceOutcome, priceOutcome } from '#schemas/price.ts';
import type { RuleSetDocumentInput } from '#schemas/rule-set.ts';
import { type CompiledRuleSet, compileRuleSet } from './compile-rule-set.ts';
import { decide } from './decide.ts';
import { oracle } from './oracle.ts';
import { pricingVersion } from './pricing-version.ts';

const NOW = Date.UTC(2026, 0, 11, 10, 30);
const flat = (value: number): [number, number][] => [
	[0, value],
	[1, value],
];
const DOCUMENT: RuleSetDocumentInput = {
	name: 'city',
	currency: 'SGD',
	products: { ride: { base_price: '10.00', per_km: '0.37' } },
	surge: { min_multiplier: 0.5, max_multiplier: 3, horizon_minutes: 15, demand_curve: flat(0.5), supply_curve: flat(0) },
	rounding: { step: '0.05', mode: 'up' },
};

function compiled(document: RuleSetDocumentInput): CompiledRuleSet {
	const result = compileRuleSet(JSON.parse(JSON.stringify(document)));
	if (!result.ok) throw new Error(JSON.stringify(result.errors));
	return result.ruleSet;
}
function outcomeOf(inputs: DecisionInputs, ruleSet: CompiledRuleSet): PriceOutcome {
	const decided = decide(inputs, ruleSet);
	if (!decided.ok) throw new Error(decided.refusal.detail);
	return decided.outcome;
}

const forecast = (expected: number, model = 'demand@3'): Forecast => ({
	model,
	horizons: [
		{ minutes: 15, expected, low: Math.floor(expected / 2), high: Math.ceil(expected * 2) },
		{ minutes: 30, expected: expected * 2, low: Math.floor(expected), high: Math.ceil(expected * 4) },
		{ minutes: 60, expected: expected * 4, low: Math.floor(expected * 2), high: Math.ceil(expected * 8) },
	],
	out_of_domain: model === 'pulse',
});

interface Scene {
	values: Partial<Record<FeatureName, number | null>>;
	age: number;
	expected: number;
	usual: number | null;
	known: boolean;
	frozen: boolean;
	attributes: Record<string, string | number | boolean>;
	bucket: number | null;
	minutes_per_booking: number;
	region_id: string;
}
const SCENE: Scene = {
	values: {},
	age: 0,
	expected: 9,
	usual: null,
	known: true,
	frozen: false,
	attributes: {},
	bucket: null,
	minutes_per_booking: 20,
	region_id: 'sg-central',
};

function inputs(scene: Partial<Scene> = {}): DecisionInputs {
	const { values, age, expected, usual, known, frozen, attributes, bucket, minutes_per_booking, region_id } = { ...SCENE, ...scene };
	const all: Partial<Record<FeatureName, number | null>> = {
		usual_15min: 9,
		usual_30min: 18,
		usual_60min: 36,
		available_drivers: 19,
		driver_utilization: 0,
		...values,
	};
	return {
		request: { product_type: 'ride', attributes, bucket },
		decided_at: NOW,
		at: { hour: 18, day_of_week: 6, date: '2026-01-11' },
		snapshot: {
			snapshot_id: 's-1',
			region: { region_id, name: 'Central', time_zone: 'Asia/Singapore', rule_set: 'city', location_hint: null, minutes_per_booking, frozen, version: 1 },
			release: 7,
			rule_set: { version: 4, digest: '0'.repeat(64) },
			features: known ? { version: 182733, as_of: NOW - age, values: featureNames.map((name) => (name in all ? (all[name] ?? null) : 1)) } : null,
			forecasts: known ? { champion: forecast(expected), canary: null } : null,
			usual: usual === null ? null : forecast(usual, 'usual'),
		},
		arm: 'champion',
		experiment: null,
	};
}

type Then = NonNullable<RuleSetDocumentInput['adjustments']>[number]['then'];
const adjustment = (id: string, when: string, then: Then) => ({ id, when, then });

const runs = { numRuns: 600 };
const units = (most: number) => fc.integer({ min: -most, max: most }).map((value) => value / 10_000);
const above0 = (most: number) => fc.integer({ min: 1, max: most }).map((value) => value / 10_000);
const cents = (most: number, least = 0) => fc.integer({ min: least, max: most }).map((value) => (value / 100).toFixed(2));
const curves = fc
	.tuple(
		fc.uniqueArray(
			fc.oneof(
				fc.integer({ min: 1, max: 99 }).map((x) => x / 100),
				fc.double({ min: 0.001, max: 0.999, noNaN: true }),
			),
			{ maxLength: 6 },
		),
		fc.array(units(20_000), { minLength: 8, maxLength: 8 }),
	)
	.map(([xs, ys]) => [0, ...xs.toSorted((a, b) => a - b), 1].map((x, index): [number, number] => [x, ys[index]!]));
const whens = fc.constantFrom(
	'true',
	'features.booking_count_5min > 5',
	'features.temperature_c > 10',
	'!(features.temperature_c > 10)',
	'features.temperature_c > 10 || features.booking_count_5min > 5',
	'forecast.demand_score > 0.5',
	'has(forecast.supply_score) && forecast.supply_score < 0.6',
	'request.attributes.vip',
	"request.attributes.tier == 'gold' || request.user.bucket < 50",
	"region.id == 'sg-airport' || at.hour in [7, 8, 18]",
	'request.attributes.absent > 0 || features.temperature_c > 0',
);
const thens = fc.oneof(
	units(20_000).map((add_multiplier) => ({ add_multiplier })),
	above0(40_000).map((cap_multiplier) => ({ cap_multiplier })),
	above0(40_000).map((floor_multiplier) => ({ floor_multiplier })),
	above0(30_000).map((multiply_price) => ({ multiply_price })),
	fc.tuple(fc.boolean(), cents(2000)).map(([minus, amount]) => ({ add_price: minus ? `-${amount}` : amount })),
	cents(5000, 1).map((set_price) => ({ set_price })),
);
const instants = fc.option(
	fc.integer({ min: -2, max: 2 }).map((offset) => new Date(NOW + offset).toISOString()),
	{ nil: null, freq: 4 },
);
const documents = fc
	.record({
		base: cents(5000),
		per_km: cents(200),
		minimum: fc.option(fc.integer({ min: 1, max: 200 })),
		airport: fc.option(cents(5000)),
		bounds: fc.tuple(above0(20_000), above0(40_000)),
		horizon_minutes: fc.constantFrom(15 as const, 30 as const, 60 as const),
		demand_curve: curves,
		supply_curve: curves,
		adjustments: fc.array(fc.record({ when: whens, action: thens, priority: fc.integer({ min: 0, max: 3 }), active_from: instants, active_to: instants }), {
			maxLength: 8,
		}),
		step: fc.integer({ min: 1, max: 25 }),
		mode: fc.constantFrom('up' as const, 'down' as const, 'half_up' as const, 'half_even' as const),
		staleness: fc.tuple(fc.integer({ min: 0, max: 50_000 }), fc.integer({ min: 1, max: 50_000 })),
	})
	.map(
		({ base, per_km, minimum, airport, bounds, step, mode, staleness, adjustments, horizon_minutes, demand_curve, supply_curve }): RuleSetDocumentInput => ({
			name: 'city',
			currency: 'SGD',
			products: {
				ride: {
					base_price: base,
					per_km,
					...(minimum === null ? {} : { minimum: ((minimum * step) / 100).toFixed(2) }),
					regions: airport === null ? {} : { 'sg-airport': { base_price: airport } },
				},
			},
			surge: { min_multiplier: Math.min(...bounds), max_multiplier: Math.max(...bounds), horizon_minutes, demand_curve, supply_curve },
			adjustments: adjustments.map(({ when, action, priority, active_from, active_to }, index) => ({
				...adjustment(`${'cab'[index % 3]}${index}`, when, action),
				priority,
				...(active_from !== null && active_to !== null && active_from >= active_to ? {} : { active_from, active_to }),
			})),
			rounding: { step: (step / 100).toFixed(2), mode },
			staleness: { fresh_seconds: staleness[0] / 1000, stale_seconds: (staleness[0] + staleness[1]) / 1000 },
		}),
	);
const count = fc.nat(200);
const scenes: fc.Arbitrary<Partial<Scene>> = fc.record({
	values: fc.record({
		booking_count_5min: fc.option(fc.nat(10), { nil: null }),
		temperature_c: fc.option(fc.integer({ min: -5, max: 30 }), { nil: null }),
		usual_15min: count,
		usual_30min: count,
		usual_60min: count,
		available_drivers: fc.option(count, { nil: null, freq: 5 }),
		driver_utilization: fc.constantFrom(0, 0.5, 0.75),
	}),
	age: fc.oneof(fc.nat(100_000), fc.constantFrom(0, 1, 50_000)),
	expected: count,
	usual: fc.option(count, { nil: null }),
	known: fc.integer({ min: 0, max: 4 }).map((one) => one > 0),
	frozen: fc.integer({ min: 0, max: 9 }).map((one) => one === 0),
	attributes: fc.record(
		{
			distance_km: fc.oneof(fc.constantFrom(0, 4.2, 1e-7), fc.double({ min: 0, max: 100, noNaN: true })),
			vip: fc.boolean(),
			tier: fc.constantFrom('gold', 'basic'),
		},
		{ requiredKeys: [] },
	),
	bucket: fc.option(fc.nat(99), { nil: null }),
	minutes_per_booking: fc.constantFrom(10, 20, 25, 60),
	region_id: fc.constantFrom('sg-central', 'sg-airport'),
});

describe('decide()', () => {
	it('gives what a second computation in exact fractions gives, to the byte', () => {
		const seen = new Set<string>();
		fc.assert(
			fc.property(documents, scenes, (document, scene) => {
				const one = inputs(scene);
				const outcome = outcomeOf(one, compiled(document));
				seen.add(outcome.status);
				expect(JSON.stringify(outcome)).toBe(JSON.stringify(oracle(one, document)));
			}),
			{ numRuns: 1500 },
		);
		expect([...seen].sort()).toEqual(['baseline', 'frozen', 'priced', 'stale', 'tariff']);
	});

	it('sums: 1 + factors is the multiplier, lines are the amount; on the grid, at least the minimum, within the bounds', () => {
		fc.assert(
			fc.property(documents, scenes, (document, scene) => {
				const outcome = outcomeOf(inputs(scene), compiled(document));
				const parts = Object.values(outcome.factors).map((value) => Math.round(value * 10_000));
				expect(parts.reduce((a, b) => a + b, 10_000)).toBe(Math.round(outcome.surge_multiplier * 10_000));
				expect(outcome.lines.reduce((sum, { amount_minor }) => sum + amount_minor, 0)).toBe(outcome.amount_minor);
				const step = Math.round(Number(document.rounding.step) * 100);
				expect(outcome.amount_minor % step).toBe(0);
				expect(outcome.amount_minor).toBeGreaterThanOrEqual(step);
				const { min_multiplier, max_multiplier } = document.surge;
				if (outcome.status === 'priced') expect(outcome.surge_multiplier).toBeGreaterThanOrEqual(min_multiplier);
				if (outcome.status === 'priced' || outcome.status === 'stale') expect(outcome.surge_multiplier).toBeLessThanOrEqual(Math.max(1, max_multiplier));
				if (outcome.status === 'baseline') expect(outcome.surge_multiplier).toBeLessThanOrEqual(1);
			}),
			runs,
		);
	});

	it('deciding twice gives the same bytes, also from a stored copy of inputs and document (R10)', () => {
		fc.assert(
			fc.property(documents, scenes, (document, scene) => {
				const one = inputs(scene);
				const ruleSet = compiled(document);
				const first = JSON.stringify(decide(one, ruleSet));
				expect(JSON.stringify(decide(one, ruleSet))).toBe(first);
				expect(JSON.stringify(decide(JSON.parse(JSON.stringify(one)), compiled(JSON.parse(JSON.stringify(document)))))).toBe(first);
			}),
			runs,
		);
	});

	it('a cap that comes last holds against everything but min_multiplier', () => {
		fc.assert(
			fc.property(documents, scenes, above0(30_000), (document, scene, cap) => {
				const last = { ...adjustment('zz', 'true', { cap_multiplier: cap }), priority: 99 };
				const { surge_multiplier, status } = outcomeOf(inputs(scene), compiled({ ...document, adjustments: [...(document.adjustments ?? []), last] }));
				if (status !== 'tariff' && status !== 'frozen')
					expect(surge_multiplier).toBeLessThanOrEqual(Math.max(cap, document.surge.min_multiplier, status === 'stale' ? 1 : 0));
			}),
			runs,
		);
	});

	const direction = (curve: [number, number][], rising: boolean): [number, number][] => {
		const ys = curve.map(([, y]) => y).toSorted((a, b) => (rising ? a - b : b - a));
		return curve.map(([x], index) => [x, ys[index]!]);
	};
	/** Conditions may do as they like with a score; these leave it alone. */
	const unconditional = (document: RuleSetDocumentInput): RuleSetDocumentInput => ({
		...document,
		adjustments: (document.adjustments ?? []).map((one) => ({ ...one, when: 'true' })),
		surge: { ...document.surge, supply_curve: direction(document.surge.supply_curve, false), demand_curve: direction(document.surge.demand_curve, true) },
	});

	it('one more driver never raises a price when the supply curve falls', () => {
		fc.assert(
			fc.property(documents, scenes, count, fc.integer({ min: 1, max: 50 }), (document, scene, drivers, more) => {
				const ruleSet = compiled(unconditional(document));
				const withDrivers = (available_drivers: number) =>
					outcomeOf(inputs({ ...scene, values: { ...scene.values, available_drivers } }), ruleSet).amount_minor;
				expect(withDrivers(drivers + more)).toBeLessThanOrEqual(withDrivers(drivers));
			}),
			runs,
		);
	});

	it('one more expected booking never lowers a price when demand rises and supply falls', () => {
		fc.assert(
			fc.property(documents, scenes, count, fc.integer({ min: 1, max: 50 }), (document, scene, expected, more) => {
				const ruleSet = compiled(unconditional(document));
				const withBookings = (bookings: number) => outcomeOf(inputs({ ...scene, expected: bookings }), ruleSet).amount_minor;
				expect(withBookings(expected + more)).toBeGreaterThanOrEqual(withBookings(expected));
			}),
			runs,
		);
	});

	it('age never raises a multiplier above the larger of 1 and its fresh value', () => {
		fc.assert(
			fc.property(documents, scenes, fc.array(fc.nat(120_000), { minLength: 1, maxLength: 5 }), (document, scene, ages) => {
				const ruleSet = compiled(document);
				const at = (age: number) => outcomeOf(inputs({ ...scene, known: true, frozen: false, age }), ruleSet).surge_multiplier;
				const most = Math.max(1, at(0));
				for (const age of ages) expect(at(age)).toBeLessThanOrEqual(most);
			}),
			runs,
		);
	});

	it('never surges on expired features', () => {
		const ruleSet = compiled({ ...DOCUMENT, surge: { ...DOCUMENT.surge, min_multiplier: 2 } });
		for (const age of [600_001, 3_600_000, 1e12]) {
			const { status, surge_multiplier, factors } = outcomeOf(inputs({ age, usual: 9 }), ruleSet);
			expect([status, surge_multiplier, 'demand' in factors]).toEqual(['baseline', 1, false]);
		}
	});

	it('never throws and never leaves its bounds, whatever numbers come (R1)', () => {
		const hostile = fc.oneof(
			fc.double(),
			fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e308, -1e308, 5e-324, -0, 0, 2 ** 53),
			fc.integer(),
		);
		const horizon = <M extends 15 | 30 | 60>(minutes: M) => fc.record({ minutes: fc.constant(minutes), expected: hostile, low: hostile, high: hostile });
		const forecasts: fc.Arbitrary<Forecast> = fc.record({
			model: fc.constant('demand@3'),
			horizons: fc.tuple(horizon(15), horizon(30), horizon(60)),
			out_of_domain: fc.boolean(),
		});
		const vectors = fc.array(fc.option(hostile), { minLength: featureNames.length, maxLength: featureNames.length });
		const extreme = fc.array(
			fc.oneof(
				fc.constantFrom(
					{ multiply_price: 1000 },
					{ multiply_price: 0.0001 },
					{ add_price: '999999999.99' },
					{ add_price: '-999999999.99' },
					{ set_price: '999999999.99' },
				),
				fc.constantFrom({ add_multiplier: 1000 }, { add_multiplier: -1000 }, { cap_multiplier: 1000 }, { floor_multiplier: 1000 }),
			),
			{ maxLength: 20 },
		);
		fc.assert(
			fc.property(
				documents,
				scenes,
				vectors,
				forecasts,
				extreme,
				fc.tuple(hostile, hostile, hostile),
				(document, scene, values, broken, thens, [distance_km, minutes_per_booking, busy_drivers]) => {
					const ruleSet = compiled({
						...document,
						products: { ride: { base_price: '999999999.99', per_km: '999999999.99' } },
						surge: { ...document.surge, max_multiplier: 1000 },
						adjustments: [
							...(document.adjustments ?? []),
							...thens.map((then, index) => adjustment(`x${index}`, 'features.traffic_index < 1 || features.hour > features.season || true', then)),
						],
					});
					const one = inputs({ ...scene, minutes_per_booking, attributes: { distance_km } });
					const { snapshot } = one;
					if (snapshot.features) snapshot.features = { ...snapshot.features, values, busy_drivers };
					if (snapshot.forecasts) snapshot.forecasts = { champion: broken, canary: null };
					if (snapshot.usual) snapshot.usual = broken;
					const outcome = outcomeOf(one, ruleSet);
					expect(priceOutcome.safeParse(outcome).error).toBeUndefined();
					expect(outcome.amount_minor).toBeLessThanOrEqual(limits.amount_minor_max);
					expect(outcome.amount_minor % ruleSet.step).toBe(0);
					expect(outcome.lines.every(({ amount_minor }) => Number.isSafeInteger(amount_minor) && amount_minor !== 0)).toBe(true);
					expect(outcome.lines.reduce((sum, { amount_minor }) => sum + BigInt(amount_minor), 0n)).toBe(BigInt(outcome.amount_minor));
					for (const score of [outcome.forecast?.demand_score, outcome.forecast?.supply_score, outcome.forecast?.confidence])
						if (typeof score === 'number') expect(score >= 0 && score <= 1).toBe(true);
				},
			),
			runs,
		);
	});

	it('refuses an unknown product', () => {
		const one = inputs();
		for (const product_type of ['limousine', 'constructor', '__proto__'])
			expect(decide({ ...one, request: { ...one.request, product_type } }, compiled(DOCUMENT))).toMatchObject({
				ok: false,
				refusal: { code: 'unknown_product' },
			});
	});

	it('counts the conditions that end in an error', () => {
		const errors = ['features.temperature_c > 0', 'request.attributes.absent', 'true', 'features.hour > 0'].map((when, index) =>
			adjustment(`a${index}`, when, { add_price: '0.05' }),
		);
		expect(decide(inputs({ values: { temperature_c: null } }), compiled({ ...DOCUMENT, adjustments: errors }))).toMatchObject({
			ok: true,
			condition_errors: 2,
		});
	});

	it('pricingVersion is a whole number', () => {
		expect(Number.isInteger(pricingVersion)).toBe(true);
	});
});
