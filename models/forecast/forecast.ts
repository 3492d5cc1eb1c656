import { type Forecast, type Horizon, type HorizonMinutes, horizonMinutes } from '#schemas/forecast.ts';
import { interval } from './interval.ts';
import type { IntervalTables } from './tables.ts';

export interface ForecastParts {
	/** `name@version`, `pulse` or `usual`. */
	model: string;
	/** Bookings of the coming 15, 30 and 60 minutes, as the model says them: they may be anything. */
	expected: readonly [number, number, number];
	tables: IntervalTables;
	out_of_domain?: boolean;
}

/** Above every city; what is above it is a model's error, and its square would still be a number. */
const EXPECTED_MAX = 1e12;

/** A forecast of these numbers with its intervals. Nothing shrinks with the horizon: a longer one includes the shorter. Never NaN or Infinity. */
export function forecastOf({ model, expected, tables, out_of_domain = false }: ForecastParts): Forecast {
	const before = { expected: 0, low: 0, high: 0 };
	const horizon = (index: 0 | 1 | 2): Horizon => {
		const said = expected[index];
		before.expected = Math.min(EXPECTED_MAX, Math.max(before.expected, Number.isNaN(said) ? 0 : said));
		const { low, high } = interval(tables[index], before.expected);
		before.low = Math.max(before.low, low);
		before.high = Math.max(before.high, high);
		const minutes: HorizonMinutes = horizonMinutes[index];
		return { minutes, ...before };
	};
	return { model, horizons: [horizon(0), horizon(1), horizon(2)], out_of_domain };
}
