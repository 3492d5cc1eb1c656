import { describe, expect, it } from 'vitest';
import type { PriceOutcome } from '#schemas/price.ts';
import { priceOutcome } from '#schemas/price.ts';
import { type RuleSetDocument, ruleSetDocument } from '#schemas/rule-set.ts';
import { goldenCases, goldenComparison } from './golden.ts';
import { oracle } from './oracle.ts';

const cases = goldenCases();
/** Decimal digits of a number as an integer of 1/10000. */
const tenThousandths = (value: number): bigint => {
	const [, sign, whole, fraction = ''] = /^(-?)(\d+)(?:\.(\d{1,4}))?$/.exec(String(value)) ?? [];
	return BigInt(`${sign}${whole}${fraction.padEnd(4, '0')}`);
};

describe('golden cases of decide() (R1, R4, R5)', () => {
	it('goldenCases() starts with the founding example and has every case once', () => {
		const first = cases[0]?.expected as PriceOutcome;
		expect([first.price, first.surge_multiplier, first.factors]).toEqual([15.75, 1.31, { demand: 0.45, supply: -0.12, 'rule:airport-calm': -0.02 }]);
		expect(cases.length).toBeGreaterThanOrEqual(150);
		expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
	});

	it('goldenCases() has every status, reason and kind of line of the contract', () => {
		const outcomes = cases.map(({ expected }) => expected).filter((one) => 'status' in one);
		expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['frozen', 'priced', 'stale', 'baseline', 'tariff']));
		const bare = (name: string) => name.replace(/:.*/, '');
		expect(new Set(outcomes.flatMap(({ reasons }) => reasons.map(bare)))).toEqual(
			new Set([
				'max_multiplier',
				'min_multiplier',
				'cap',
				'floor',
				'minimum',
				'stale',
				'baseline',
				'tariff',
				'no_supply_data',
				'model_out_of_domain',
				'not_finite',
				'frozen',
			]),
		);
		expect(new Set(outcomes.flatMap(({ lines }) => lines.map(({ kind }) => bare(kind))))).toEqual(
			new Set(['base', 'distance', 'demand', 'supply', 'rule', 'cap', 'floor', 'stale', 'minimum', 'rounding']),
		);
	});

	it.each(cases)('decide() gives the same bytes: $name', (one) => {
		const { got, wanted } = goldenComparison(one);
		expect(got).toBe(wanted);
	});

	it.each(cases.filter(({ expected }) => 'status' in expected))('the expectation agrees with itself: $name', ({ expected, rule_set }) => {
		const outcome = priceOutcome.parse(expected);
		const document: RuleSetDocument = ruleSetDocument.parse(JSON.parse(JSON.stringify(rule_set)));
		const factors = Object.values(outcome.factors).map(tenThousandths);
		expect(factors.reduce((a, b) => a + b, 10_000n)).toBe(tenThousandths(outcome.surge_multiplier));
		expect(factors).not.toContain(0n);
		const lines = outcome.lines.map(({ amount_minor }) => amount_minor);
		expect(lines.reduce((a, b) => a + BigInt(b), 0n)).toBe(BigInt(outcome.amount_minor));
		expect(lines).not.toContain(0);
		const digits = { SGD: 2, USD: 2, JPY: 0, KWD: 3 }[document.currency]!;
		const step = BigInt(Math.round(Number(document.rounding.step) * 10 ** digits));
		expect(BigInt(outcome.amount_minor) % step).toBe(0n);
		expect(outcome.price).toBe(Number(`${outcome.amount_minor}e-${digits}`));
		if (outcome.status === 'tariff' || outcome.status === 'frozen') expect([outcome.surge_multiplier, outcome.factors]).toEqual([1, {}]);
		if (outcome.status === 'baseline') expect(outcome.surge_multiplier).toBeLessThanOrEqual(1);
		expect(outcome.reasons.includes(outcome.status)).toBe(outcome.status !== 'priced');
	});

	it.each(cases.filter(({ expected, hostile }) => 'status' in expected && !hostile))(
		'a second computation gives the same: $name',
		({ expected, rule_set, inputs }) => {
			expect(JSON.stringify(oracle(inputs, rule_set))).toBe(JSON.stringify(expected));
		},
	);
});
