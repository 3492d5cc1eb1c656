import { currencyDigits } from '#schemas/currency.ts';
import type { HorizonMinutes } from '#schemas/forecast.ts';
import { limits } from '#schemas/limits.ts';
import { parse, pointer } from '#schemas/parse.ts';
import type { FieldError } from '#schemas/problem.ts';
import { type RoundingMode, type RuleSetDocument, ruleSetDocument } from '#schemas/rule-set.ts';
import { type Condition, condition } from './condition.ts';
import { type Curve, curve } from './curve.ts';
import { tenTo } from './decimal.ts';
import { minorUnits } from './minor-units.ts';

/** The money of a product in a region, in minor units. */
export interface Tariff {
	base: number;
	per_km: number;
	/** A multiple of the step, at least one. */
	minimum: number;
}

interface Rule {
	/** `rule:<id>`: its factor and its line. */
	kind: string;
	condition: Condition;
	/** Milliseconds since 1970. */
	active_from: number | null;
	active_to: number | null;
}
/** Multipliers in 1/10000. */
export type Addition = Rule & { add: number };
export type Clamp = Rule & { action: 'cap' | 'floor'; at: number; reason: string };
/** `multiply` in 1/10000, `add` and `set` in minor units. */
export type PriceAction = Rule & { action: 'multiply' | 'add' | 'set'; by: number };

/** A rule set ready to price with: money in minor units, multipliers in 1/10000, times in milliseconds, adjustments in order. Immutable. */
export interface CompiledRuleSet {
	name: string;
	currency: string;
	/** Minor units in one of the currency: 100 for SGD. */
	unit: number;
	products: ReadonlyMap<string, { everywhere: Tariff; regions: ReadonlyMap<string, Tariff> }>;
	horizon_minutes: HorizonMinutes;
	demand_curve: Curve;
	supply_curve: Curve;
	min_multiplier: number;
	max_multiplier: number;
	additions: readonly Addition[];
	clamps: readonly Clamp[];
	price_actions: readonly PriceAction[];
	step: number;
	mode: RoundingMode;
	validity_ms: number;
	fresh_ms: number;
	stale_ms: number;
	/** With the defaults filled in. */
	document: RuleSetDocument;
}
export type CompileResult = { ok: true; ruleSet: CompiledRuleSet } | { ok: false; errors: FieldError[] };

/**
 * Checks a rule set document (a JSON value, see schemas/rule-set.ts; -0 in it becomes 0) and makes it ready to price with. All faults that can be seen
 * at once are told at once, each with its JSON Pointer, in a condition with its offset. Called at save and again when the edge loads the rule set;
 * pure, never throws on data.
 */
export function compileRuleSet(document: unknown): CompileResult {
	const parsed = parse(ruleSetDocument, document);
	if (!parsed.ok) return { ok: false, errors: [...parsed.errors, ...conditionErrors(document)] };
	return compile(parsed.value);
}

function compile(document: RuleSetDocument): CompileResult {
	const errors: FieldError[] = [];
	const digits = currencyDigits(document.currency)!;
	const money = (text: string, ...path: string[]): number => {
		const amount = minorUnits(text, digits);
		if (amount === null)
			errors.push({ path: pointer(path), message: `must not have more than ${digits} digits after the point: the currency is ${document.currency}` });
		return amount ?? Number.NaN;
	};

	const step = money(document.rounding.step, 'rounding', 'step');
	const minimum = (text: string, ...path: string[]): number => {
		const amount = money(text, ...path);
		// With the step itself broken (NaN) the grid is not known.
		if (amount % step > 0) errors.push({ path: pointer(path), message: `must be a multiple of the step, ${document.rounding.step}` });
		return amount;
	};
	const products = new Map<string, { everywhere: Tariff; regions: Map<string, Tariff> }>();
	for (const [id, product] of Object.entries(document.products)) {
		const at = ['products', id];
		const everywhere = {
			base: money(product.base_price, ...at, 'base_price'),
			per_km: money(product.per_km, ...at, 'per_km'),
			minimum: product.minimum === null ? step : minimum(product.minimum, ...at, 'minimum'),
		};
		const regions = new Map<string, Tariff>();
		for (const [region, own] of Object.entries(product.regions)) {
			const place = [...at, 'regions', region];
			regions.set(region, {
				base: own.base_price === undefined ? everywhere.base : money(own.base_price, ...place, 'base_price'),
				per_km: own.per_km === undefined ? everywhere.per_km : money(own.per_km, ...place, 'per_km'),
				minimum: own.minimum === undefined ? everywhere.minimum : minimum(own.minimum, ...place, 'minimum'),
			});
		}
		products.set(id, { everywhere, regions });
	}

	const additions: Addition[] = [];
	const clamps: Clamp[] = [];
	const priceActions: PriceAction[] = [];
	const order = document.adjustments.map((adjustment, index) => ({ adjustment, index }));
	// Priority ascending, then id by code units: the same order on every node.
	order.sort(({ adjustment: a }, { adjustment: b }) => a.priority - b.priority || (a.id < b.id ? -1 : 1));
	for (const { adjustment, index } of order) {
		const { id, when, then, active_from, active_to } = adjustment;
		const compiled = condition(when);
		if (!compiled.ok) {
			errors.push(conditionError(index, compiled.refusal));
			continue;
		}
		const rule: Rule = { kind: `rule:${id}`, condition: compiled.condition, active_from, active_to };
		const at = ['adjustments', String(index), 'then'];
		if (then.add_multiplier !== undefined) additions.push({ ...rule, add: multiplier(then.add_multiplier) });
		else if (then.cap_multiplier !== undefined) clamps.push({ ...rule, action: 'cap', at: multiplier(then.cap_multiplier), reason: `cap:${id}` });
		else if (then.floor_multiplier !== undefined) clamps.push({ ...rule, action: 'floor', at: multiplier(then.floor_multiplier), reason: `floor:${id}` });
		else if (then.multiply_price !== undefined) priceActions.push({ ...rule, action: 'multiply', by: multiplier(then.multiply_price) });
		else if (then.add_price !== undefined) priceActions.push({ ...rule, action: 'add', by: money(then.add_price, ...at, 'add_price') });
		else if (then.set_price !== undefined) priceActions.push({ ...rule, action: 'set', by: money(then.set_price, ...at, 'set_price') });
	}
	if (errors.length > 0) return { ok: false, errors };

	const { surge, staleness } = document;
	return {
		ok: true,
		ruleSet: {
			name: document.name,
			currency: document.currency,
			unit: Number(tenTo(digits)),
			products,
			horizon_minutes: surge.horizon_minutes,
			demand_curve: curve(surge.demand_curve),
			supply_curve: curve(surge.supply_curve),
			min_multiplier: multiplier(surge.min_multiplier),
			max_multiplier: multiplier(surge.max_multiplier),
			additions,
			clamps,
			price_actions: priceActions,
			step,
			mode: document.rounding.mode,
			validity_ms: milliseconds(document.validity_seconds),
			fresh_ms: milliseconds(staleness.fresh_seconds),
			stale_ms: milliseconds(staleness.stale_seconds),
			document,
		},
	};
}

/** The schema has seen to it that these are whole. */
const multiplier = (value: number): number => Math.round(value * 10_000);
const milliseconds = (seconds: number): number => Math.round(seconds * 1000);

const conditionError = (index: number, { message, offset }: { message: string; offset: number }): FieldError => ({
	path: pointer(['adjustments', index, 'when']),
	message,
	offset,
});

/** The conditions of a document that does not fit the schema elsewhere, so that its author sees their faults in the same answer. */
function conditionErrors(document: unknown): FieldError[] {
	const adjustments: unknown = (document as { adjustments?: unknown } | null | undefined)?.adjustments;
	if (!Array.isArray(adjustments)) return [];
	return adjustments.slice(0, limits.adjustments_max).flatMap((adjustment: unknown, index) => {
		const when: unknown = (adjustment as { when?: unknown } | null | undefined)?.when;
		// Too long or empty is already told.
		if (typeof when !== 'string' || when.length === 0 || when.length > limits.condition_chars_max) return [];
		const compiled = condition(when);
		return compiled.ok ? [] : [conditionError(index, compiled.refusal)];
	});
}
