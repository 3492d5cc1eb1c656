import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FeatureName, type FeatureVector, featureNames } from '#schemas/feature.ts';
import { limits } from '#schemas/limits.ts';
import { condition } from './condition.ts';
import type { ConditionContext } from './condition-context.ts';
import { parseCondition } from './condition-parser.ts';

const vector = (values: Partial<Record<FeatureName, number | null>>, instead: number | null): FeatureVector =>
	featureNames.map((name) => (name in values ? (values[name] ?? null) : instead));

const CONTEXT: ConditionContext = {
	product_type: 'standard_ride',
	attributes: { distance_km: 4.2, vip: true, tier: 'gold' },
	bucket: 7,
	region: {
		region_id: 'sg-central',
		name: 'Central',
		time_zone: 'Asia/Singapore',
		rule_set: 'city',
		location_hint: 'apac',
		minutes_per_booking: 20,
		frozen: false,
		version: 1,
	},
	features: vector({ booking_count_5min: 10 }, 1),
	forecast: { demand_score: 0.87, supply_score: 0.6, confidence: 0.8, horizon_minutes: 15, expected_bookings: 42.1, model: 'demand@3' },
	at: { hour: 18, day_of_week: 6, date: '2026-01-11' },
};

function compiled(text: string) {
	const result = condition(text);
	if (!result.ok) throw new Error(`${text}: ${result.refusal.message}`);
	return result.condition;
}
const refusal = (text: string) => {
	const result = condition(text);
	return result.ok ? null : result.refusal;
};

/** What the CEL library itself says, with missing things left out; undefined for its exceptions. */
function library(text: string, context: ConditionContext): boolean | undefined {
	const parsed = parseCondition(text);
	if (!parsed.ok) throw new Error(parsed.refusal.message);
	const present = (object: object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null && value !== undefined));
	try {
		const value: unknown = parsed.program({
			request: { product_type: context.product_type, attributes: context.attributes, user: present({ bucket: context.bucket }) },
			region: present({ ...context.region, id: context.region.region_id }),
			features: present(Object.fromEntries(featureNames.map((name, index) => [name, context.features?.[index]]))),
			forecast: present(context.forecast ?? {}),
			at: context.at,
		});
		return typeof value === 'boolean' ? value : undefined;
	} catch {
		return undefined;
	}
}

/** Texts of conditions that pass the type check, over every kind of expression. */
const texts = fc.letrec<{ bool: string; number: string; text: string }>((tie) => ({
	number: fc.oneof(
		{ maxDepth: 4, withCrossShrink: true },
		fc.constantFrom(
			'features.booking_count_5min',
			'features.temperature_c',
			'forecast.demand_score',
			'forecast.supply_score',
			'at.hour',
			'request.user.bucket',
			'request.attributes.n',
			"request.attributes['n']",
			'region.minutes_per_booking',
		),
		fc.nat(20).map(String),
		fc.double({ min: 0, max: 20, noNaN: true }).map((value) => value.toFixed(3)),
		fc.tuple(tie('number'), fc.constantFrom('+', '-', '*', '/'), tie('number')).map(([a, op, b]) => `(${a} ${op} ${b})`),
		tie('number').map((a) => `-(${a})`),
		fc.tuple(tie('bool'), tie('number'), tie('number')).map(([c, a, b]) => `(${c} ? ${a} : ${b})`),
	),
	text: fc.oneof(
		{ maxDepth: 2 },
		fc.constantFrom(
			'region.id',
			'region.location_hint',
			'request.product_type',
			'request.attributes.s',
			'at.date',
			"'sg-central'",
			"'gold'",
			"''",
			'forecast.model',
		),
		fc.tuple(tie('text'), tie('text')).map(([a, b]) => `(${a} + ${b})`),
	),
	bool: fc.oneof(
		{ maxDepth: 5, withCrossShrink: true },
		fc.constantFrom(
			'true',
			'false',
			'request.attributes.b',
			'region.frozen',
			'has(features.temperature_c)',
			'has(request.attributes.s)',
			'has(request.user.bucket)',
			'has(forecast.supply_score)',
		),
		fc.tuple(tie('number'), fc.constantFrom('<', '<=', '>', '>=', '==', '!='), tie('number')).map(([a, op, b]) => `${a} ${op} ${b}`),
		fc.tuple(tie('text'), fc.constantFrom('<', '<=', '>', '>=', '==', '!='), tie('text')).map(([a, op, b]) => `${a} ${op} ${b}`),
		fc.tuple(tie('bool'), fc.constantFrom('&&', '||', '==', '!='), tie('bool')).map(([a, op, b]) => `(${a}) ${op} (${b})`),
		fc.array(tie('bool'), { minLength: 2, maxLength: 5 }).map((list) => list.map((one) => `(${one})`).join(' || ')),
		tie('bool').map((a) => `!(${a})`),
		fc.tuple(tie('number'), fc.array(fc.nat(20), { maxLength: 4 })).map(([a, list]) => `${a} in [${list}]`),
		fc
			.tuple(tie('text'), fc.array(fc.constantFrom('gold', 'sg-central', 'x'), { maxLength: 3 }))
			.map(([a, list]) => `${a} in [${list.map((one) => `'${one}'`)}]`),
		fc.tuple(tie('text'), fc.constantFrom('startsWith', 'endsWith', 'contains'), tie('text')).map(([a, name, b]) => `${a}.${name}(${b})`),
		fc.tuple(tie('bool'), tie('bool'), tie('bool')).map(([c, a, b]) => `(${c}) ? (${a}) : (${b})`),
	),
}));
const small = fc.oneof(fc.nat(20), fc.double({ min: -20, max: 20, noNaN: true }));
const contexts = (missing: boolean) => {
	const maybe = <T>(value: fc.Arbitrary<T>) => (missing ? fc.option(value, { nil: null, freq: 2 }) : value);
	return fc
		.record({
			bookings: maybe(small),
			temperature: maybe(small),
			supply: maybe(small),
			bucket: maybe(fc.nat(99)),
			hint: maybe(fc.constantFrom('apac', 'weur')),
			forecast: missing ? fc.boolean() : fc.constant(true),
			attributes: missing
				? fc.dictionary(fc.constantFrom('n', 's', 'b'), fc.oneof(small, fc.boolean(), fc.constantFrom('gold', 'x')))
				: fc.record({ n: small, s: fc.constantFrom('gold', 'x', ''), b: fc.boolean() }),
		})
		.map(
			({ bookings, temperature, supply, bucket, hint, forecast, attributes }): ConditionContext => ({
				...CONTEXT,
				attributes,
				bucket,
				region: { ...CONTEXT.region, location_hint: hint },
				features: vector({ booking_count_5min: bookings, temperature_c: temperature }, 1),
				forecast: forecast && CONTEXT.forecast ? { ...CONTEXT.forecast, supply_score: supply } : null,
			}),
		);
};
const runs = { numRuns: 1500 };

describe('condition()', () => {
	it('agrees with the CEL library where everything is present', () => {
		fc.assert(
			fc.property(texts.bool, contexts(false), (text, context) => {
				fc.pre(text.length <= limits.condition_chars_max && parseCondition(text).ok);
				expect(compiled(text).evaluate(context)).toBe(library(text, context));
			}),
			runs,
		);
	});

	it('is an error exactly where the CEL library throws', () => {
		fc.assert(
			fc.property(texts.bool, contexts(true), (text, context) => {
				fc.pre(text.length <= limits.condition_chars_max && parseCondition(text).ok);
				expect(compiled(text).evaluate(context)).toBe(library(text, context));
			}),
			runs,
		);
	});

	it('the law above is not empty: most generated texts pass the parser', () => {
		const sample = fc.sample(texts.bool, 300);
		expect(sample.filter((text) => condition(text).ok).length).toBeGreaterThan(150);
	});

	it('|| and && decide by one side when the other is an error, and never guess', () => {
		const sides: [string, boolean | undefined][] = [
			['true', true],
			['false', false],
			['request.attributes.absent', undefined],
		];
		for (const [a, left] of sides)
			for (const [b, right] of sides) {
				const or = left === true || right === true ? true : left === false && right === false ? false : undefined;
				const and = left === false || right === false ? false : left === true && right === true ? true : undefined;
				expect([`${a} || ${b}`, compiled(`${a} || ${b}`).evaluate(CONTEXT)]).toEqual([`${a} || ${b}`, or]);
				expect([`${a} && ${b}`, compiled(`${a} && ${b}`).evaluate(CONTEXT)]).toEqual([`${a} && ${b}`, and]);
			}
	});

	it('lacksData() speaks of features and the forecast only', () => {
		const bare: ConditionContext = { ...CONTEXT, bucket: null, attributes: {}, features: null, forecast: null };
		expect(compiled('request.attributes.absent > 0').lacksData(bare)).toBe(false);
		expect(compiled('request.user.bucket > 0').lacksData(bare)).toBe(false);
		expect(compiled('features.temperature_c > 0').lacksData(bare)).toBe(true);
		expect(compiled('has(features.temperature_c) && request.attributes.absent > 0').lacksData(bare)).toBe(true);
		expect(compiled('forecast.demand_score > 0').lacksData(bare)).toBe(true);
		expect(compiled('forecast.supply_score > 0').lacksData({ ...CONTEXT, forecast: { ...CONTEXT.forecast!, supply_score: null } })).toBe(true);
		expect(compiled('features.temperature_c > 0 && forecast.demand_score > 0').lacksData(CONTEXT)).toBe(false);
	});

	it('takes a number that is not finite for a missing one', () => {
		for (const broken of [Number.NaN, Number.POSITIVE_INFINITY]) {
			const context = { ...CONTEXT, features: vector({ temperature_c: broken }, 1), attributes: { n: broken } };
			expect(compiled('features.temperature_c < 5').evaluate(context)).toBeUndefined();
			expect(compiled('request.attributes.n < 5').evaluate(context)).toBeUndefined();
		}
	});

	it('reads own attributes only', () => {
		for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty'])
			expect(compiled(`has(request.attributes.${name})`).evaluate(CONTEXT)).toBe(false);
	});

	it('every declared name reads something', () => {
		for (const text of [
			'request.product_type',
			'region.id',
			'region.name',
			'region.time_zone',
			'region.rule_set',
			'region.location_hint',
			'at.date',
			'forecast.model',
		])
			expect(compiled(`${text} != ''`).evaluate(CONTEXT)).toBe(true);
		for (const name of featureNames) expect(compiled(`features.${name} >= 1`).evaluate(CONTEXT)).toBe(true);
		for (const text of [
			'forecast.demand_score',
			'forecast.supply_score',
			'forecast.confidence',
			'forecast.expected_bookings',
			'forecast.horizon_minutes',
			'at.hour',
			'at.day_of_week',
			'region.minutes_per_booking',
			'request.user.bucket',
		])
			expect(compiled(`${text} > 0`).evaluate(CONTEXT)).toBe(true);
	});

	it.each([
		['features.rainfall > 1.0', 'uses unknown field features.rainfall', 0],
		['true && weather.rain', 'uses unknown name weather', 8],
		['features', 'uses features as a value', 0],
		['request.attributes == request.attributes', 'uses request.attributes as a value', 0],
		['request.attributes.a.b', 'attributes are flat', 0],
		['region.constructor', 'unknown field region.constructor', 0],
		['features[region.id] > 0', 'must not index by an expression', 0],
		['features.hour[0] > 0', 'must not index by an expression', 0],
		["'a' == 'b'['c']", 'must not index by an expression', 7],
		["region.id.matches('(a+)+$')", 'must not call matches()', 0],
		['[1, 2].exists(i, i > 1)', 'must not call exists()', 0],
		["request.attributes.s.startsWith() || 'a'.contains('b', 'c')", 'must give startsWith() one text', 0],
		['size(region.id) > 3', 'must not call size()', 0],
		["timestamp('2026-01-01T00:00:00Z') == timestamp('2026-01-01T00:00:00Z')", 'must not call timestamp()', 0],
		["{'a': 1} == {'a': 1}", 'must not have maps', 0],
		['[1] == [1]', 'must not have a list other than after in', 0],
		["'a' in request.attributes", 'must have a list in brackets after in', 7],
		['at.hour % 2 == 0', 'must not use %', 0],
		['features.hour == null', 'must not have null', 17],
		['features.hour == 5u', 'must not have bytes or unsigned', 17],
		['features.hour > 9007199254740993', 'beyond 2^53', 16],
		['has(features)', 'must have a field in has()', 0],
		["has(request.attributes['a'])", 'must have a field in has()', 0],
		['has(features.rainfall)', 'uses unknown field features.rainfall', 4],
		['region.id > 5', 'no such overload', 0],
		["features.booking_count_5min + 'a' == 'b'", 'no such overload', 0],
		['features.booking_count_5min + 1.0', 'must be true or false, but is a double', 0],
		['region.id ==', 'is not a valid condition', 12],
		['true && )', 'is not a valid condition', 8],
		['   ', 'is not a valid condition', 3],
		["region.constructor.constructor('return process')()", 'is not a valid condition', 48],
	])('refuses %s', (text, message, offset) => {
		expect(refusal(text)?.message).toContain(message);
		expect(refusal(text)?.offset).toBe(offset);
	});

	it('refuses what is too long, too deep or too wide (R3)', () => {
		for (const text of [
			`true${' '.repeat(limits.condition_chars_max)}`,
			`${'('.repeat(5000)}true${')'.repeat(5000)}`,
			`${'('.repeat(900)}true${')'.repeat(900)}`,
			`region.id in [${"'a',".repeat(20_000)}'b']`,
			`region.id in [${"'a',".repeat(limits.condition_list_max)}'b']`,
			`${'!'.repeat(1990)}true`,
			`${'-'.repeat(1990)}1 > 0`,
			`${'true ? '.repeat(100)}true${' : true'.repeat(100)}`,
			`${'['.repeat(900)}`,
			`${Array(990).fill('1').join('+')} == 990`,
			'a'.repeat(2000),
		]) {
			expect(refusal(text), text.slice(0, 20)).not.toBeNull();
		}
	});

	it('takes long chains, which are one level, and lists up to the limit', () => {
		expect(compiled(`${Array(330).fill('true').join('||')}`).evaluate(CONTEXT)).toBe(true);
		expect(compiled(`${Array(490).fill('1').join('+')} == 490`).evaluate(CONTEXT)).toBe(true);
		expect(
			compiled(
				`region.id in [${Array(limits.condition_list_max - 1)
					.fill("'a'")
					.join(',')}, 'sg-central']`,
			).evaluate(CONTEXT),
		).toBe(true);
		expect(compiled(`${'('.repeat(30)}features.hour${')'.repeat(30)} > 0`).evaluate(CONTEXT)).toBe(true);
		expect(compiled(`true${' '.repeat(limits.condition_chars_max - 4)}`).evaluate(CONTEXT)).toBe(true);
	});

	it('never throws on text', () => {
		const pieces = fc.constantFrom(
			'features',
			'.',
			'hour',
			'(',
			')',
			'[',
			']',
			'&&',
			'!',
			"'",
			'"',
			'has',
			'in',
			' ',
			'1',
			'1e',
			'0x',
			'true',
			'?',
			':',
			'\\u12',
			'{',
			',',
			'request.attributes.',
			'__proto__',
			'\n',
			'//',
			'b',
			'é',
			'-',
		);
		fc.assert(
			fc.property(
				fc.oneof(
					fc.string({ unit: 'binary' }),
					fc.array(pieces, { maxLength: 40 }).map((list) => list.join('')),
				),
				(text) => {
					const result = condition(text);
					if (result.ok) expect([true, false, undefined]).toContain(result.condition.evaluate(CONTEXT));
					else expect(result.refusal.offset).toBeGreaterThanOrEqual(0);
				},
			),
			runs,
		);
	});
});
