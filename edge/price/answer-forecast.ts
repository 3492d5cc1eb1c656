import { knowledge } from '#models/pricing/knowledge.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { ForecastAnswer } from '#schemas/price.ts';
import type { Refusal } from '#schemas/problem.ts';
import { copies, deploymentNow } from './copies.ts';
import type { PriceEnvironment } from './environment.ts';

/** What is expected of a region, by the same ladder and the same copy as its prices. Refuses unknown_region, no_forecast, or unavailable. */
export async function answerForecast(regionId: string, env: PriceEnvironment, ctx: ExecutionContext): Promise<ForecastAnswer | Refusal> {
	const copy = (await copies([regionId], env, ctx)).get(regionId) ?? 'absent';
	if (copy === 'absent') return { code: 'unavailable', detail: `Nobody that answers knows region "${regionId}" at the moment` };
	if (copy === 'unknown') return { code: 'unknown_region', detail: `There is no region "${regionId}"` };
	const at = deploymentNow(regionId, env);
	const { forecast, scores, age_ms } = knowledge(copy.snapshot, { at, arm: 'champion' }, copy.ruleSet);
	if (!forecast || !scores) return { code: 'no_forecast', detail: `Nothing is known of region "${regionId}" yet: no event, and no profile` };
	const { features } = copy.snapshot;
	return {
		region_id: regionId,
		as_of: features ? formatInstant(features.as_of) : null,
		age_ms,
		demand_score: scores.demand_score,
		supply_score: scores.supply_score,
		confidence: scores.confidence,
		model: forecast.model,
		horizons: forecast.horizons.map(({ minutes, expected, low, high }) => ({ minutes, expected: Math.round(expected * 100) / 100, low, high })),
	};
}
