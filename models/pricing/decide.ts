import type { DecisionInputs } from '#schemas/decision.ts';
import { limits } from '#schemas/limits.ts';
import type { PriceOutcome, Status } from '#schemas/price.ts';
import type { Refusal } from '#schemas/problem.ts';
import { bill } from './bill.ts';
import type { CompiledRuleSet, PriceAction, Tariff } from './compile-rule-set.ts';
import type { Condition } from './condition.ts';
import type { ConditionContext } from './condition-context.ts';
import { type Knowledge, knowledge } from './knowledge.ts';
import { addTerm, allFactors, calm, capAt, type Factor, floorAt, type Surge, shrink } from './surge.ts';
import { utc } from './utc.ts';

/** `condition_errors`: how many conditions ended in an error, for the metrics. */
export type Decided = { ok: true; outcome: PriceOutcome; condition_errors: number } | { ok: false; refusal: Refusal };

/**
 * The price of a request from what is known of its region and the rules: the step x status table of contract.md, "Edge". Pure: the same inputs and
 * rule set give the same bytes in every runtime. Refuses an unknown product; never throws on data, whatever numbers features and forecasts hold.
 */
export function decide(inputs: DecisionInputs, ruleSet: CompiledRuleSet): Decided {
	const { request, snapshot, decided_at } = inputs;
	const tariff = tariffOf(ruleSet, request.product_type, snapshot.region.region_id);
	if (tariff === undefined)
		return { ok: false, refusal: { code: 'unknown_product', detail: `Cannot price ${request.product_type}: rule set ${ruleSet.name} has no such product` } };

	const known = knowledge(snapshot, { at: decided_at, arm: inputs.arm }, ruleSet);
	const status: Status = snapshot.region.frozen ? 'frozen' : known.rung;
	const forecast = forecastOf(known, ruleSet);
	const reasons: string[] = status === 'priced' ? [] : [status];
	const rules = rulebook(
		{
			product_type: request.product_type,
			attributes: request.attributes,
			bucket: request.bucket,
			region: snapshot.region,
			features: known.features,
			// The usual is what stands in for a forecast: to conditions there is none.
			forecast: known.features === null ? null : forecast,
			at: inputs.at,
		},
		decided_at,
	);

	const surge = calm();
	switch (status) {
		case 'priced':
			knownReasons(known, reasons);
			curves(surge, known, ruleSet);
			adjust(surge, ruleSet, { rules, reasons });
			break;
		case 'stale':
			knownReasons(known, reasons);
			curves(surge, known, ruleSet);
			adjust(surge, ruleSet, { rules, reasons });
			shrink(surge, { age_ms: known.age_ms ?? 0, fresh_ms: ruleSet.fresh_ms, stale_ms: ruleSet.stale_ms });
			break;
		case 'baseline':
			if (known.scores?.finite === false) reasons.push('not_finite');
			adjust(surge, ruleSet, { rules, reasons });
			capAt(surge, 10_000);
			break;
		case 'tariff':
		case 'frozen':
			break;
	}

	const factors = allFactors(surge);
	const actions: PriceAction[] = ruleSet.price_actions.filter((action) => rules.holds(action));
	const distance = distanceOf(request.attributes['distance_km']);
	const billed = bill({ tariff, distance_km: distance.km }, { multiplier: surge.multiplier, factors }, { actions, step: ruleSet.step, mode: ruleSet.mode });
	if (billed.minimum) reasons.push('minimum');
	if ((billed.bounded || !distance.fits) && status !== 'frozen' && !reasons.includes('not_finite')) reasons.push('not_finite');

	const { unit } = ruleSet;
	const features = snapshot.features;
	return {
		ok: true,
		outcome: {
			region_id: snapshot.region.region_id,
			product_type: request.product_type,
			price: billed.amount_minor / unit,
			amount_minor: billed.amount_minor,
			currency: ruleSet.currency,
			base_price: tariff.base / unit,
			surge_multiplier: surge.multiplier / 10_000,
			decided_at: utc(decided_at),
			valid_until: utc(decided_at + ruleSet.validity_ms),
			status,
			reasons,
			factors: named(factors),
			lines: billed.lines,
			forecast,
			versions: {
				release: snapshot.release,
				rule_set: snapshot.rule_set.version,
				model: forecast?.model ?? null,
				features: features?.version ?? null,
				features_as_of: features ? utc(features.as_of) : null,
				age_ms: known.age_ms,
			},
		},
		condition_errors: rules.errors(),
	};
}

function named(factors: readonly Factor[]): Record<string, number> {
	const object: Record<string, number> = {};
	for (const [kind, part] of factors) object[kind] = part / 10_000;
	return object;
}

function tariffOf(ruleSet: CompiledRuleSet, product: string, region: string): Tariff | undefined {
	const found = ruleSet.products.get(product);
	return found?.regions.get(region) ?? found?.everywhere;
}

function forecastOf({ forecast, scores }: Knowledge, { horizon_minutes }: CompiledRuleSet): PriceOutcome['forecast'] {
	if (!forecast || !scores) return null;
	const { demand_score, supply_score, confidence, expected_bookings } = scores;
	return { demand_score, supply_score, confidence, horizon_minutes, expected_bookings, model: forecast.model };
}

/** What priced and stale tell of the knowledge they stand on. */
function knownReasons({ forecast, scores }: Knowledge, reasons: string[]): void {
	if (scores?.supply_score === null) reasons.push('no_supply_data');
	if (forecast?.out_of_domain) reasons.push('model_out_of_domain');
	if (scores?.finite === false) reasons.push('not_finite');
}

function curves(surge: Surge, { scores }: Knowledge, { demand_curve, supply_curve }: CompiledRuleSet): void {
	if (!scores) return;
	addTerm(surge, 'demand', demand_curve.at(Math.round(scores.demand_score * 10_000)));
	if (scores.supply_score !== null) addTerm(surge, 'supply', supply_curve.at(Math.round(scores.supply_score * 10_000)));
}

/** All add_multiplier, then cap and floor in one pass, then min_multiplier and max_multiplier. A clamp that a later one undoes is told as well. */
function adjust(surge: Surge, ruleSet: CompiledRuleSet, { rules, reasons }: { rules: Rulebook; reasons: string[] }): void {
	for (const addition of ruleSet.additions) if (rules.holds(addition)) addTerm(surge, addition.kind, addition.add);
	for (const clamp of ruleSet.clamps) {
		if (clamp.action === 'cap') {
			if (rules.guards(clamp) && capAt(surge, clamp.at)) reasons.push(clamp.reason);
		} else if (rules.holds(clamp) && floorAt(surge, clamp.at)) reasons.push(clamp.reason);
	}
	if (floorAt(surge, ruleSet.min_multiplier)) reasons.push('min_multiplier');
	if (capAt(surge, ruleSet.max_multiplier)) reasons.push('max_multiplier');
}

interface Conditional {
	condition: Condition;
	active_from: number | null;
	active_to: number | null;
}
interface Rulebook {
	/** Active, and its condition is true; an error is not. */
	holds(rule: Conditional): boolean;
	/** The same for a cap, which also holds when its condition is an error and lacks data: lost data never lifts a cap. */
	guards(rule: Conditional): boolean;
	errors(): number;
}

function rulebook(context: ConditionContext, now: number): Rulebook {
	let errors = 0;
	const judge = ({ condition, active_from, active_to }: Conditional): boolean | undefined => {
		if ((active_from !== null && now < active_from) || (active_to !== null && now >= active_to)) return false;
		const value = condition.evaluate(context);
		if (value === undefined) errors++;
		return value;
	};
	return {
		holds: (rule) => judge(rule) === true,
		guards: (rule) => judge(rule) ?? rule.condition.lacksData(context),
		errors: () => errors,
	};
}

/** The door refuses distances that do not fit; one that got here all the same is clamped. */
function distanceOf(value: unknown): { km: number; fits: boolean } {
	if (value === undefined) return { km: 0, fits: true };
	if (typeof value === 'number' && value >= 0 && value <= limits.distance_km_max) return { km: value, fits: true };
	return { km: typeof value === 'number' && value > 0 ? limits.distance_km_max : 0, fits: false };
}
