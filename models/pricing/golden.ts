import type { DecisionInputs } from '#schemas/decision.ts';
import type { PriceOutcome } from '#schemas/price.ts';
import type { ProblemCode } from '#schemas/problem.ts';
import { compileRuleSet } from './compile-rule-set.ts';
import { decide } from './decide.ts';
import adjustments from './golden/adjustments.json' with { type: 'json' };
import combinations from './golden/combinations.json' with { type: 'json' };
import conditions from './golden/conditions.json' with { type: 'json' };
import founding from './golden/founding.json' with { type: 'json' };
import hostile from './golden/hostile.json' with { type: 'json' };
import ladder from './golden/ladder.json' with { type: 'json' };
import money from './golden/money.json' with { type: 'json' };
import rounding from './golden/rounding.json' with { type: 'json' };
import scores from './golden/scores.json' with { type: 'json' };

/** One worked example of pricing. Every runtime must pass all of them, to the byte. */
export interface GoldenCase {
	name: string;
	/** The document, as its author wrote it. */
	rule_set: unknown;
	inputs: DecisionInputs;
	expected: PriceOutcome | { refusal: ProblemCode };
	/** Its numbers are no sensible ones, so only the laws and the expectation judge it, not the second computation. */
	hostile: boolean;
}

interface GoldenFile {
	rule_sets: Record<string, unknown>;
	cases: { name: string; rule_set: string; inputs: DecisionInputs; expected?: PriceOutcome; refusal?: ProblemCode; hostile?: boolean }[];
}

/** The founding example is the first. JSON has wider types than it holds: decide() is what the cases are for, so nothing is parsed here. */
const files = [founding, scores, adjustments, combinations, money, rounding, ladder, conditions, hostile] as unknown as GoldenFile[];

export function goldenCases(): GoldenCase[] {
	return files.flatMap(({ rule_sets, cases }) =>
		cases.map(({ name, rule_set, inputs, expected, refusal, hostile }) => ({
			name,
			rule_set: rule_sets[rule_set],
			inputs,
			expected: expected ?? { refusal: refusal ?? 'internal' },
			hostile: hostile ?? false,
		})),
	);
}

/** What decide() makes of a case, beside what is expected: two JSON texts that must be the same bytes. */
export function goldenComparison({ rule_set, inputs, expected }: GoldenCase): { got: string; wanted: string } {
	const compiled = compileRuleSet(rule_set);
	if (!compiled.ok) return { got: JSON.stringify(compiled.errors), wanted: JSON.stringify(expected) };
	const decided = decide(inputs, compiled.ruleSet);
	return { got: JSON.stringify(decided.ok ? decided.outcome : { refusal: decided.refusal.code }), wanted: JSON.stringify(expected) };
}
