// The golden cases of pricing, shown to bite: `decide()` is changed in one place at a time, in a copy, and some case must fail each time.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const PRICING = 'models/pricing';

/** A defect: in `file` of models/pricing, `from` (which stands there once) becomes `to`. */
type Mutation = [name: string, file: string, from: string, to: string];
const mutations: Mutation[] = [
	['the demand curve counts the other way', 'decide.ts', "addTerm(surge, 'demand', demand", "addTerm(surge, 'demand', -demand"],
	['supply without data is a score of 0', 'decide.ts', 'if (scores.supply_score !== null) addTerm', 'addTerm'],
	['a freeze is overlooked', 'decide.ts', "snapshot.region.frozen ? 'frozen' : known.rung", 'known.rung'],
	[
		'frozen prices surge',
		'decide.ts',
		"case 'tariff':\n\t\tcase 'frozen':",
		"case 'tariff':\n\t\t\tbreak;\n\t\tcase 'frozen':\n\t\t\tcurves(surge, known, ruleSet);",
	],
	['a baseline may surge', 'decide.ts', 'capAt(surge, 10_000);', ''],
	['stale features surge like fresh ones', 'decide.ts', 'shrink(surge, {', 'calm(); ({'],
	['a rule is active at its end', 'decide.ts', 'now >= active_to', 'now > active_to'],
	['a rule is not yet active at its start', 'decide.ts', 'now < active_from', 'now <= active_from'],
	['lost data lifts a cap', 'decide.ts', 'judge(rule) ?? rule.condition.lacksData(context)', 'judge(rule) === true'],
	['a condition that fails holds', 'decide.ts', 'judge(rule) === true,', 'judge(rule) !== false,'],
	[
		'max_multiplier before caps and floors',
		'decide.ts',
		'\tfor (const clamp of ruleSet.clamps) {',
		'\tif (capAt(surge, ruleSet.max_multiplier)) reasons.push("max_multiplier");\n\tfor (const clamp of ruleSet.clamps) {',
	],
	['no max_multiplier', 'decide.ts', "if (capAt(surge, ruleSet.max_multiplier)) reasons.push('max_multiplier');", ''],
	['no min_multiplier', 'decide.ts', "if (floorAt(surge, ruleSet.min_multiplier)) reasons.push('min_multiplier');", ''],
	['a tariff of a region is overlooked', 'decide.ts', 'found?.regions.get(region) ?? found', 'found'],
	['valid for seconds instead of milliseconds', 'decide.ts', 'decided_at + ruleSet.validity_ms', 'decided_at + ruleSet.validity_ms / 1000'],
	[
		'distance is not surged',
		'bill.ts',
		'running = bound({ units: whole.units * BigInt(multiplier), scale: whole.scale + MULTIPLIER_SCALE })',
		'running = bound(plus({ units: BigInt(tariff.base) * BigInt(multiplier), scale: MULTIPLIER_SCALE }, distance))',
	],
	['there is no minimum', 'bill.ts', 'const minimum = running.units < least;', 'const minimum = false;'],
	['a price at its minimum counts as raised', 'bill.ts', 'running.units < least', 'running.units <= least'],
	['lines are rounded instead of cut', 'bill.ts', 'Number(scale === 0 ? units : units / tenTo(scale))', 'Math.round(Number(units) / Number(tenTo(scale)))'],
	[
		'the surged price is rounded before the price actions',
		'bill.ts',
		'let running = bound({ units: whole.units * BigInt(multiplier), scale: whole.scale + MULTIPLIER_SCALE });',
		'let running = bound({ units: (whole.units * BigInt(multiplier)) / tenTo(whole.scale + MULTIPLIER_SCALE), scale: 0 });',
	],
	[
		'multiply_price adds',
		'bill.ts',
		"action === 'multiply' ? { units: running.units * BigInt(by), scale: change.scale } : plus",
		"action === 'multiply' ? plus(running, { units: BigInt(by), scale: 4 }) : plus",
	],
	['set_price adds', 'bill.ts', 'BigInt(by) * tenTo(scale) - units, scale }', 'BigInt(by) * tenTo(scale), scale }'],
	['caps become floors', 'surge.ts', 'if (surge.multiplier <= at) return false;', 'if (surge.multiplier >= at) return false;'],
	['the shrink starts at 0', 'surge.ts', 'const span = stale_ms - fresh_ms;', 'const span = stale_ms;'],
	['half_up rounds ties down', 'rounding.ts', "case 'half_up':\n\t\t\treturn twice >= divisor;", "case 'half_up':\n\t\t\treturn twice > divisor;"],
	['half_even rounds ties up', 'rounding.ts', '(twice === divisor && steps % 2n !== 0n)', 'twice === divisor'],
	['up rounds to the nearest', 'rounding.ts', 'return twice > 0n;', 'return twice >= divisor;'],
	['down rounds up', 'rounding.ts', "case 'down':\n\t\t\treturn false;", "case 'down':\n\t\t\treturn twice > 0n;"],
	['the highest priority goes first', 'compile-rule-set.ts', 'a.priority - b.priority', 'b.priority - a.priority'],
	['ties of priority go backwards', 'compile-rule-set.ts', 'a.id < b.id ? -1 : 1', 'a.id < b.id ? 1 : -1'],
	['ties of priority go by locale', 'compile-rule-set.ts', '(a.id < b.id ? -1 : 1)', 'a.id.localeCompare(b.id)'],
	['two digits for every currency', 'compile-rule-set.ts', 'currencyDigits(document.currency)!', '2'],
	['the minimum is nothing by default', 'compile-rule-set.ts', 'product.minimum === null ? step', 'product.minimum === null ? 0'],
	[
		'curves are not rounded to even',
		'curve.ts',
		'return halfEven(y0 * dx + (x - x0) * (ys[right]! - y0), dx);',
		'return Math.floor((y0 * dx + (x - x0) * (ys[right]! - y0)) / dx + 0.5);',
	],
	['ties go away from zero', 'half-even.ts', 'twice === divisor && low % 2 !== 0', 'twice === divisor'],
	['busy drivers count whole', 'scores.ts', 'Math.min(1, share)', '1'],
	['free drivers serve once', 'scores.ts', '* Math.max(1, share)', ''],
	['demand without smoothing', 'scores.ts', '(SCALE * (expected + 1)) / (expected + 1 + ordinary + 1)', '(SCALE * expected) / (expected + ordinary)'],
	['confidence without the 1', 'scores.ts', '(high + low + 1), 1)', '(high + low), 1)'],
	['features at the edge of fresh are stale', 'knowledge.ts', 'age <= ruleSet.fresh_ms', 'age < ruleSet.fresh_ms'],
	['features at the edge of stale are gone', 'knowledge.ts', 'age <= ruleSet.stale_ms', 'age < ruleSet.stale_ms'],
	['every user is priced by the champion', 'knowledge.ts', "(arm === 'canary' ? forecasts.canary : null) ?? forecasts.champion", 'forecasts.champion'],
];

describe('golden cases of decide(), with a defect in it', () => {
	let copy = '';
	beforeAll(() => {
		copy = mkdtempSync(join(tmpdir(), 'surgecast-mutations-'));
		for (const part of ['models', 'package.json'])
			cpSync(join(ROOT, part), join(copy, part), { recursive: true, filter: (path) => !path.includes('training') });
		for (const part of ['schemas', 'node_modules']) symlinkSync(join(ROOT, part), join(copy, part));
		writeFileSync(
			join(copy, 'count.ts'),
			`import { goldenCases, goldenComparison } from './${PRICING}/golden.ts';
			const fails = (one) => { try { const { got, wanted } = goldenComparison(one); return got !== wanted; } catch { return true; } };
			console.log(JSON.stringify(goldenCases().filter(fails).map(({ name }) => name)));`,
		);
	});
	afterAll(() => rmSync(copy, { recursive: true, force: true }));

	const failing = (): string[] => {
		const { stdout, stderr, status } = spawnSync(process.execPath, ['count.ts'], { cwd: copy, encoding: 'utf8' });
		if (status !== 0) throw new Error(`The copy does not run: ${stderr}`);
		return JSON.parse(stdout);
	};

	it('all pass without one', () => expect(failing()).toEqual([]));

	it.each(mutations)('some fail when %s', (_, file, from, to) => {
		const path = join(copy, PRICING, file);
		const source = readFileSync(path, 'utf8');
		expect(source.split(from), `${file} has this place once: ${from}`).toHaveLength(2);
		writeFileSync(
			path,
			source.replace(from, () => to),
		);
		try {
			expect(failing().length).toBeGreaterThan(0);
		} finally {
			writeFileSync(path, source);
		}
	});
});
