/** The size classes of a forecast: class i holds the expected bookings below edge i and not below the one before; the last is open. */
export const sizeEdges = [0.3, 1, 3, 10, 30, 100, 200, 400] as const;
export const sizeClasses = sizeEdges.length + 1;
/** The spread of a count by chance, and the share of it that no forecast knows: sqrt(y + (0.08 y)^2). */
const UNKNOWN_SHARE = 0.08;

/** Half widths of the 80 % interval by size class, in units of spread(). */
export type IntervalTable = readonly number[];

/** 0..8 */
export function sizeClass(expected: number): number {
	let index = 0;
	while (index < sizeEdges.length && expected >= sizeEdges[index]!) index++;
	return index;
}

/** What a half width is measured in, bookings. */
export function spread(expected: number): number {
	const unknown = UNKNOWN_SHARE * expected;
	return Math.sqrt(expected + unknown * unknown);
}

/**
 * The 80 % interval of a forecast: conformal (the quantile of the held-out residuals of forecasts of this size, in units of spread), rounded
 * outwards to whole bookings. 0 <= low <= expected <= high. Throws RangeError for a table without a number for every size class.
 */
export function interval(table: IntervalTable, expected: number): { low: number; high: number } {
	const quantile = table[sizeClass(expected)];
	if (quantile === undefined || !(quantile >= 0))
		throw new RangeError(`Cannot make an interval: the table has ${quantile} for ${expected} bookings, it wants ${sizeClasses} numbers from 0`);
	const half = quantile * spread(expected);
	return { low: Math.max(0, Math.floor(expected - half)), high: Math.ceil(expected + half) };
}
