import { expandHolidays } from '#control-plane/holidays.ts';
import { instantOf, localTime, offsetAt } from '#models/calendar.ts';
import { features } from '#models/features/features.ts';
import { modelForecast } from '#models/forecast/model-forecast.ts';
import { modelInput } from '#models/forecast/model-input.ts';
import { pulse } from '#models/forecast/pulse.ts';
import { type FeatureVector, featureIndex } from '#schemas/feature.ts';
import { HOUR_MS, seededHours, walkZone } from '../sample/walk-zone.ts';
import { readZoneHours, ZONE_HOURS_TIME_ZONE, type ZoneHours, zoneHourMonths } from '../sample/zone-hours.ts';
import type { ReadModel } from './read-model.ts';
import { emptyScores, type Judged, judge, type Scores } from './score.ts';

const DAY_MS = 24 * HOUR_MS;
const WEEK_MS = 7 * DAY_MS;
/** What the log keeps of user events: the past that a region in service can have. */
const WARM_DAYS = 35;
/** Less than this, and the usuals do not stand on four weeks. */
const WARM_DAYS_MIN = 29;
const SEED = 1;
const SHARES = [0.25, 0.5, 1] as const;

export interface MonthRequest extends ReadModel {
	/** Directory of months of counts by zone and hour. */
	data: string;
	/** YYYY-MM */
	month: string;
	/** Only these zones (default: all). */
	zones?: readonly string[];
	progress?: (text: string) => void;
	/** Called for every zone and hour. */
	watch?: (zone: string, at: number, judged: Judged) => void;
}

const monthAfter = (month: string, months: number): string =>
	new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5, 7)) - 1 + months, 1)).toISOString().slice(0, 7);
const beginOf = (month: string): number => instantOf(Date.parse(`${month}-01T00:00:00Z`), ZONE_HOURS_TIME_ZONE)!;

/** The counts of the same wall-clock hour in the four weeks before, the last one first; hours that the clocks skipped are left out. */
function weeksBefore(hours: ZoneHours, at: number): number[] {
	const wall = at + offsetAt(at, ZONE_HOURS_TIME_ZONE);
	return [1, 2, 3, 4].flatMap((week) => {
		const instant = instantOf(wall - week * WEEK_MS, ZONE_HOURS_TIME_ZONE);
		return instant === null ? [] : [hours.get(instant) ?? 0];
	});
}

/** An hour's count shared out to its first 15, 30 and 60 minutes: the best that can be said of counts whose times are drawn evenly. */
const shared = (count: number): [number, number, number] => [count * SHARES[0], count * SHARES[1], count];

/**
 * Judges a model, and pulse, the mean of the last four same hours of week, and last week beside it, at the start of every hour of a month and zone, by the
 * product's own features. The hour's count is the truth at 60 minutes; at 15 and 30 minutes it is the drawn events of the hour's beginning. Regions have no profile; the 35 days before the month (29 at least) warm their usuals. Throws when months are missing.
 */
export async function evaluateMonth({ data, month, manifest, model, zones, progress = () => {}, watch = () => {} }: MonthRequest): Promise<Scores> {
	const from = beginOf(month);
	const end = beginOf(monthAfter(month, 1));
	const had = new Set(zoneHourMonths(data));
	const months = [monthAfter(month, -2), monthAfter(month, -1), month].filter((each) => had.has(each));
	if (!had.has(month)) throw new Error(`Cannot evaluate ${month}: ${data} has only ${[...had].join(', ')}`);
	if (!had.has(monthAfter(month, -1))) throw new Error(`Cannot evaluate ${month}: the month before it, which warms the usuals, is not in ${data}`);
	const warm = Math.min(WARM_DAYS, Math.round((from - beginOf(months[0]!)) / DAY_MS));
	if (warm < WARM_DAYS_MIN) throw new Error(`Cannot evaluate ${month}: ${data} has only ${warm} days before it, wanted are ${WARM_DAYS_MIN}`);
	const begin = instantOf(from + offsetAt(from, ZONE_HOURS_TIME_ZONE) - warm * DAY_MS, ZONE_HOURS_TIME_ZONE)!;

	const region = { time_zone: ZONE_HOURS_TIME_ZONE, profile: null, holiday_dates: (await expandHolidays('US-NY', { now: from })) ?? [] };
	const scores = emptyScores();
	const chosen = [...readZoneHours(data, months)].filter(([zone]) => zones === undefined || zones.includes(zone)).sort(([a], [b]) => (a < b ? -1 : 1));
	for (const [index, [zone, hours]] of chosen.entries()) {
		const steps: { at: number; values: FeatureVector; actual: [number, number, number] }[] = [];
		walkZone({ hours, begin, end, randomOf: seededHours(zone, SEED) }, ({ at, window, coming }) => {
			if (at < from || at % HOUR_MS !== 0) return;
			steps.push({ at, values: features(window, region, at), actual: [coming(1), coming(2), coming(4)] });
		});
		const inputs = steps.map(({ values }) => modelInput(values, manifest));
		const outputs = await model.run(inputs.flatMap((input) => ('row' in input ? [input.row] : [])));
		let next = 0;
		steps.forEach(({ at, values, actual }, step) => {
			const asked = 'row' in inputs[step]!;
			const made = asked ? modelForecast(outputs[next++]!, manifest) : { forecast: { ...pulse(values), out_of_domain: true }, clamped: false };
			if (!asked) scores.out_of_domain++;
			if (made.clamped) scores.clamped++;
			const before = weeksBefore(hours, at);
			const judged: Judged = {
				hour_of_day: localTime(at, ZONE_HOURS_TIME_ZONE).hour,
				usual_60min: values[featureIndex.usual_60min] ?? 0,
				actual,
				model: made.forecast,
				pulse: pulse(values),
				mean_of_4: shared(before.reduce((sum, count) => sum + count, 0) / before.length),
				last_week: shared(before[0] ?? 0),
			};
			judge(scores, judged);
			watch(zone, at, judged);
		});
		if (index % 26 === 25 || index === chosen.length - 1) progress(`${month}: ${index + 1} of ${chosen.length} zones`);
	}
	return scores;
}
