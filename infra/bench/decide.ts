import { localTime } from '#models/calendar.ts';
import { pulse } from '#models/forecast/pulse.ts';
import { usualForecast } from '#models/forecast/usual.ts';
import { compileRuleSet } from '#models/pricing/compile-rule-set.ts';
import { decide } from '#models/pricing/decide.ts';
import type { DecisionInputs } from '#schemas/decision.ts';
import { featureNames } from '#schemas/feature.ts';
import { sampleRuleSets } from '../sample/rule-sets.ts';
import type { BenchResult } from './bench-result.ts';
import { median, table } from './table.ts';

const ROUNDS = 15;
const ROUND_MS = 150;

/** A condition as operators write them: a feature, the request, the time. */
const conditions = [
	'features.booking_count_5min > 40',
	"request.product_type == 'standard_ride' && at.hour >= 7 && at.hour < 10",
	'features.precipitation_mm_h > 2.5',
	'request.attributes.distance_km > 15 || forecast.demand_score > 0.8',
];

function scene(adjustments: number): { inputs: DecisionInputs; ruleSet: Extract<ReturnType<typeof compileRuleSet>, { ok: true }>['ruleSet'] } {
	const document = {
		...structuredClone(sampleRuleSets[0]),
		adjustments: Array.from({ length: adjustments }, (_, i) => ({
			id: `a${i}`,
			when: conditions[i % conditions.length],
			then: { add_multiplier: 0.0001 },
			priority: i,
		})),
	};
	const compiled = compileRuleSet(document);
	if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
	const values = featureNames.map(
		(name) =>
			({
				booking_count_5min: 12,
				usual_15min: 30,
				usual_30min: 60,
				usual_60min: 120,
				recent_bookings: 55,
				recent_usual: 38,
				available_drivers: 20,
				driver_utilization: 0.4,
				precipitation_mm_h: 0.2,
			})[name as string] ?? 1,
	);
	const decided_at = Date.UTC(2026, 0, 11, 10, 30);
	const forecast = pulse(values);
	return {
		ruleSet: compiled.ruleSet,
		inputs: {
			request: { product_type: 'standard_ride', attributes: { distance_km: 4.2 }, bucket: 17 },
			decided_at,
			at: localTime(decided_at, 'Asia/Singapore'),
			arm: 'champion',
			experiment: null,
			snapshot: {
				snapshot_id: 's',
				region: {
					region_id: 'sg-central',
					name: 'Central',
					time_zone: 'Asia/Singapore',
					rule_set: 'city',
					location_hint: null,
					minutes_per_booking: 20,
					frozen: false,
					version: 1,
				},
				release: 1,
				rule_set: { version: 1, digest: '0'.repeat(64) },
				features: { version: 2 ** 32, as_of: decided_at - 2000, values, busy_drivers: 13 },
				forecasts: { champion: forecast, canary: null },
				usual: usualForecast({ usual_15min: 30, usual_30min: 60, usual_60min: 120 }),
			},
		},
	};
}

/** Nanoseconds a decision: median of rounds that take turns, after a warm-up. */
export async function bench(): Promise<BenchResult> {
	const cases = [0, 20, 200].map((adjustments) => ({ adjustments, ...scene(adjustments), ns: [] as number[] }));
	let priced = 0;
	for (let round = -2; round < ROUNDS; round++) {
		for (const { inputs, ruleSet, ns } of cases) {
			let count = 0;
			const started = performance.now();
			while (performance.now() - started < ROUND_MS) for (let i = 0; i < 100; i++, count++) priced += decide(inputs, ruleSet).ok ? 1 : 0;
			if (round >= 0) ns.push(((performance.now() - started) / count) * 1e6);
		}
	}
	console.log(
		table([
			['adjustments', 'ns a decision (median)', 'min', 'max'],
			...cases.map(({ adjustments, ns }) => [String(adjustments), median(ns), Math.min(...ns), Math.max(...ns)]),
		]),
	);
	console.log(`${priced.toLocaleString('en')} decisions in all`);
	return { name: 'decide', figures: Object.fromEntries(cases.map(({ adjustments, ns }) => [`ns_${adjustments}`, Math.round(median(ns))])) };
}
