import type { IntervalTable } from './interval.ts';

/** By horizon, in the order of horizonMinutes. */
export type IntervalTables = readonly [IntervalTable, IntervalTable, IntervalTable];

// Measured by `node infra/sample/intervals.ts --data ../shared/data/yellow-zone-hour`: 40 of 260 New York taxi zones, evenly over their ranks,
// 2014-04-30 to 2014-09-30 (April warms the usuals), a forecast every quarter-hour: 591,200 a horizon. Hourly counts at uniform times inside the
// hour. The last class at 15 minutes had too few forecasts and takes the number of the class below it.

export const pulseTables: IntervalTables = [
	[0.35, 0.96, 1.27, 1.43, 1.71, 1.56, 1.34, 1.18, 1.18],
	[0.43, 0.93, 1.32, 1.47, 1.66, 1.84, 1.52, 1.3, 1.13],
	[0.46, 0.93, 1.31, 1.54, 1.64, 2.02, 1.86, 1.51, 1.24],
];

export const usualTables: IntervalTables = [
	[0.35, 0.95, 1.27, 1.5, 1.84, 1.85, 1.69, 1.73, 1.73],
	[0.43, 0.93, 1.32, 1.52, 1.76, 2.19, 1.87, 1.69, 1.72],
	[0.46, 0.92, 1.3, 1.56, 1.74, 2.23, 2.46, 1.92, 1.68],
];
