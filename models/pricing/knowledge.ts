import type { Arm } from '#schemas/decision.ts';
import type { FeatureVector } from '#schemas/feature.ts';
import type { Forecast } from '#schemas/forecast.ts';
import type { Status } from '#schemas/price.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import type { CompiledRuleSet } from './compile-rule-set.ts';
import { type Scores, scores } from './scores.ts';

/** What is known of a region at an instant: a rung of the ladder, by the age of its features. */
export interface Knowledge {
	rung: Exclude<Status, 'frozen'>;
	/** Whole milliseconds, at least 0; null without features. */
	age_ms: number | null;
	/** The features that may be used: null when there are none or they are older than stale_seconds. */
	features: FeatureVector | null;
	/** The arm's forecast, in baseline the usual, in tariff null. */
	forecast: Forecast | null;
	/** Of that forecast. */
	scores: Scores | null;
}

/**
 * The rung below any freeze (contract.md, "Edge", `status`): priced and stale by fresh and fresh-enough features with their forecast; baseline by the
 * usual, for features too old or none yet; tariff when nothing of the region is known. GET /forecast follows the same ladder.
 */
export function knowledge(snapshot: Snapshot, { at, arm }: { at: number; arm: Arm }, ruleSet: CompiledRuleSet): Knowledge {
	const { features, forecasts, usual, region } = snapshot;
	const options = { horizon_minutes: ruleSet.horizon_minutes, minutes_per_booking: region.minutes_per_booking };
	const age = features === null ? null : Math.max(0, at - features.as_of);
	if (features && forecasts && age !== null && age <= ruleSet.stale_ms) {
		const forecast = (arm === 'canary' ? forecasts.canary : null) ?? forecasts.champion;
		return {
			rung: age <= ruleSet.fresh_ms ? 'priced' : 'stale',
			age_ms: age,
			features: features.values,
			forecast,
			scores: scores(features, forecast, options),
		};
	}
	// Features that were once there keep a region from falling to tariff, even where its usual did not arrive.
	const rung = features === null && usual === null ? 'tariff' : 'baseline';
	return { rung, age_ms: age, features: null, forecast: usual, scores: usual && scores(null, usual, options) };
}
