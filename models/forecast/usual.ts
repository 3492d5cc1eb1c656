import type { Forecast } from '#schemas/forecast.ts';
import { hourOfWeek, offsetAt } from '../calendar.ts';
import { forecastOf } from './forecast.ts';
import { usualTables } from './tables.ts';

const QUARTER_MS = 15 * 60_000;
/** Bookings an hour that no usual is below (contract.md). */
const USUAL_MIN_PER_HOUR = 0.05;

export interface Usuals {
	usual_15min: number;
	usual_30min: number;
	usual_60min: number;
}

/** The forecast where nothing fresh is known: the usual itself. */
export function usualForecast({ usual_15min, usual_30min, usual_60min }: Usuals): Forecast {
	return forecastOf({ model: 'usual', expected: [usual_15min, usual_30min, usual_60min], tables: usualTables });
}

/**
 * The usual of the coming 15, 30 and 60 minutes from bookings by hour of the local week (168, Monday 00:00 first: a profile, or usualWeek()),
 * prorated inside the hour.
 */
export function usualAt({ week, at, time_zone }: { week: readonly number[]; at: number; time_zone: string }): Usuals {
	const until = (end: number) => {
		let sum = 0;
		// By quarter-hours of UTC: no clock changes its offset inside one.
		for (let from = at; from < end; ) {
			const to = Math.min(end, (Math.floor(from / QUARTER_MS) + 1) * QUARTER_MS);
			sum += Math.max(USUAL_MIN_PER_HOUR, week[hourOfWeek(from + offsetAt(from, time_zone))]!) * (to - from);
			from = to;
		}
		return sum / (4 * QUARTER_MS);
	};
	return { usual_15min: until(at + QUARTER_MS), usual_30min: until(at + 2 * QUARTER_MS), usual_60min: until(at + 4 * QUARTER_MS) };
}
