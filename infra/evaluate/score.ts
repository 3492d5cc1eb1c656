import { sizeClass, sizeClasses } from '#models/forecast/interval.ts';
import type { Forecast } from '#schemas/forecast.ts';

export const horizonNames = ['15', '30', '60'] as const;
export type HorizonName = (typeof horizonNames)[number];
export const methods = ['model', 'pulse', 'mean_of_4', 'last_week'] as const;
export type Method = (typeof methods)[number];

/** Intervals are judged where at least this much is usual in the hour: of a zone without trips any interval is right. */
export const COVERAGE_USUAL_MIN = 10;

/** One zone and hour: what each method said at its start, and what came, by horizon. */
export interface Judged {
	hour_of_day: number;
	/** Of the coming hour; the zone-hour's size too. */
	usual_60min: number;
	actual: readonly [number, number, number];
	model: Forecast;
	pulse: Forecast;
	mean_of_4: readonly [number, number, number];
	last_week: readonly [number, number, number];
}

interface Sums {
	hours: number;
	actual: number;
	error: Record<Method, number>;
	intervals: number;
	covered: Record<'model' | 'pulse', number>;
}
const emptySums = (): Sums => ({
	hours: 0,
	actual: 0,
	error: { model: 0, pulse: 0, mean_of_4: 0, last_week: 0 },
	intervals: 0,
	covered: { model: 0, pulse: 0 },
});

/** Sums over zone-hours by horizon: of all, by size class of the usual, by hour of day. */
export interface Scores {
	all: Record<HorizonName, Sums>;
	sizes: Record<HorizonName, Sums[]>;
	hours: Record<HorizonName, Sums[]>;
	out_of_domain: number;
	clamped: number;
}
const byHorizon = <T>(make: () => T): Record<HorizonName, T> => ({ '15': make(), '30': make(), '60': make() });

export const emptyScores = (): Scores => ({
	all: byHorizon(emptySums),
	sizes: byHorizon(() => Array.from({ length: sizeClasses }, emptySums)),
	hours: byHorizon(() => Array.from({ length: 24 }, emptySums)),
	out_of_domain: 0,
	clamped: 0,
});

function add(sums: Sums, { usual_60min, actual, model, pulse, mean_of_4, last_week }: Judged, horizon: number): void {
	const came = actual[horizon]!;
	const forecasts = { model: model.horizons[horizon]!, pulse: pulse.horizons[horizon]! };
	const said = { model: forecasts.model.expected, pulse: forecasts.pulse.expected, mean_of_4: mean_of_4[horizon]!, last_week: last_week[horizon]! };
	sums.hours++;
	sums.actual += came;
	for (const method of methods) sums.error[method] += Math.abs(said[method] - came);
	if (usual_60min < COVERAGE_USUAL_MIN) return;
	sums.intervals++;
	for (const method of ['model', 'pulse'] as const) {
		const { low, high } = forecasts[method];
		if (low <= came && came <= high) sums.covered[method]++;
	}
}

/** Takes one zone-hour into the account. */
export function judge(scores: Scores, judged: Judged): void {
	horizonNames.forEach((name, horizon) => {
		add(scores.all[name], judged, horizon);
		add(scores.sizes[name][sizeClass(judged.usual_60min)]!, judged, horizon);
		add(scores.hours[name][judged.hour_of_day]!, judged, horizon);
	});
}

/** Weighted absolute percentage error: sum |said - came| / sum came, in %. NaN where nothing came. */
export const wape = ({ error, actual }: Sums, method: Method): number => (100 * error[method]) / actual;

/** The share of outcomes inside the 80 % interval. */
export const coverage = ({ covered, intervals }: Sums, method: 'model' | 'pulse'): number => covered[method] / intervals;
