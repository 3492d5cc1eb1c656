import { features } from '#models/features/features.ts';
import type { FeatureRegion } from '#models/features/window.ts';
import { featureIndex, featureNames } from '#schemas/feature.ts';
import { horizonMinutes } from '#schemas/forecast.ts';
import { QUARTER_MS, type ZoneStep } from '../sample/walk-zone.ts';

/**
 * The columns of a row, float32 each: the zone's number; the event time `as_of` as the number of its quarter-hour since 1970 (exact in float32); every
 * feature, NaN where it is null; the bookings of the coming 15, 30 and 60 minutes; and these over the usual of the same minutes.
 */
export const datasetColumns = [
	'zone',
	'quarter',
	...featureNames,
	...horizonMinutes.map((minutes) => `bookings_${minutes}min`),
	...horizonMinutes.map((minutes) => `times_usual_${minutes}min`),
] as const;
export const datasetWidth = datasetColumns.length;

const USUALS = [featureIndex.usual_15min, featureIndex.usual_30min, featureIndex.usual_60min] as const;
const QUARTERS = [1, 2, 4] as const;

/** Whether a region has been seen at all; before that there is nothing to learn from. */
export function datasetRow(
	{ at, window, coming }: ZoneStep,
	region: FeatureRegion,
	{ zone, into, offset }: { zone: number; into: Float32Array; offset: number },
): boolean {
	const values = features(window, region, at);
	if (values[featureIndex.usual_60min] === null) return false;
	into[offset] = zone;
	into[offset + 1] = at / QUARTER_MS;
	let column = offset + 2;
	for (const value of values) into[column++] = value ?? Number.NaN;
	for (let horizon = 0; horizon < 3; horizon++) {
		const bookings = coming(QUARTERS[horizon]!);
		into[column + horizon] = bookings;
		into[column + 3 + horizon] = bookings / values[USUALS[horizon]!]!;
	}
	return true;
}
