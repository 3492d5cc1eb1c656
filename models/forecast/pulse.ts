import { type FeatureVector, featureIndex } from '#schemas/feature.ts';
import type { Forecast } from '#schemas/forecast.ts';
import { forecastOf } from './forecast.ts';
import { pulseTables } from './tables.ts';

/**
 * How much busier than usual a region is (architecture.md, Forecasting). The first term is a Gamma-Poisson nowcast: `bookings` against `usual`,
 * both decayed, drawn to 1 by k. The second is the pace seen minus three sigma, what chance cannot explain. Grows with `bookings`.
 */
function busyness(bookings: number, usual: number): number {
	const k = 10 + 8 * Math.sqrt(usual);
	return Math.max((k + bookings) / (k + usual), (bookings - 3 * Math.sqrt(bookings)) / usual);
}

/**
 * The built-in forecast: the usual of the coming minutes times how much busier than usual it is now. Needs no file, holds for a region it never
 * saw, and one more booking never lowers it. A feature that is missing counts as usual.
 */
export function pulse(values: FeatureVector): Forecast {
	const bookings = values[featureIndex.recent_bookings] ?? null;
	const usual = values[featureIndex.recent_usual] ?? null;
	const times = bookings === null || usual === null || usual <= 0 ? 1 : busyness(bookings, usual);
	const of = (name: 'usual_15min' | 'usual_30min' | 'usual_60min') => (values[featureIndex[name]] ?? 0) * times;
	return forecastOf({ model: 'pulse', expected: [of('usual_15min'), of('usual_30min'), of('usual_60min')], tables: pulseTables });
}
