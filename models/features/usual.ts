import { dateOf, hourOfWeek, instantOf, offsetAt } from '../calendar.ts';
import { QUARTER_MS, sumQuarters } from './quarters.ts';
import type { FeatureRegion, RegionWindow } from './window.ts';

const HOUR_MS = 3_600_000;
const WEEK_MS = 7 * 24 * HOUR_MS;
/** Past weeks that the usual is the mean of. */
export const WEEKS = 4;
/** Never below this, bookings a quarter-hour: 0.05 an hour. */
export const USUAL_MIN = 0.05 / 4;
/** A day of quarters, the coming hour's, and what finals look back. */
const SLOTS = 128;

/** Usuals by quarter. Those of settled weeks do not change, so each is computed once while the region's entry stays. */
export interface UsualCache {
	time_zone: string;
	profile: readonly number[] | null;
	holiday_dates: readonly string[];
	/** The profile's mean hour; 0 without one. */
	profileMean: number;
	readonly quarters: Int32Array;
	readonly values: Float64Array;
	/** What the calendar says of a date. */
	date: string;
	holiday: boolean;
	season: number;
}

/** For when something was counted in a settled week after all. */
export function forgetUsuals(window: RegionWindow): void {
	window.usual?.quarters.fill(-1);
}

/** The window's cache, emptied when what it stands on has changed. */
export function usualCache(window: RegionWindow, region: FeatureRegion): UsualCache {
	let cache = window.usual;
	if (cache !== null && cache.profile === region.profile && cache.holiday_dates === region.holiday_dates && cache.time_zone === region.time_zone) return cache;
	cache = {
		time_zone: region.time_zone,
		profile: region.profile,
		holiday_dates: region.holiday_dates,
		profileMean: (region.profile ?? []).reduce((sum, hour) => sum + hour, 0) / 168,
		quarters: cache?.quarters.fill(-1) ?? new Int32Array(SLOTS).fill(-1),
		values: cache?.values ?? new Float64Array(SLOTS),
		date: '',
		holiday: false,
		season: 0,
	};
	window.usual = cache;
	return cache;
}

/**
 * The usual of the quarter-hour that begins at this wall time, bookings: the mean of up to four weeks before, smoothed 1-2-1. NaN when no week
 * is known and there is no profile. Weeks that are not over, smoothing neighbour included, at `until` are not known yet.
 */
export function usualOfWall(window: RegionWindow, region: FeatureRegion, { wall, until }: { wall: number; until: number }): number {
	const { time_zone, profile, holiday_dates } = region;
	const firstQuarter = Math.floor(window.first_user / QUARTER_MS);
	let sum = 0;
	let weeks = 0;
	let holidaySum = 0;
	let holidays = 0;
	for (let week = 1; week <= WEEKS; week++) {
		const past = wall - week * WEEK_MS;
		const instant = instantOf(past, time_zone);
		if (instant === null) continue;
		const quarter = Math.floor(instant / QUARTER_MS);
		if (quarter < firstQuarter || (quarter + 2) * QUARTER_MS > until) continue;
		// 1-2-1 is the sum of both overlapping pairs.
		const smoothed = (sumQuarters(window.quarters, quarter - 1, quarter + 1) + sumQuarters(window.quarters, quarter, quarter + 2)) / 4;
		if (holiday_dates.length > 0 && holiday_dates.includes(dateOf(past))) {
			holidaySum += smoothed;
			holidays++;
		} else {
			sum += smoothed;
			weeks++;
		}
	}
	if (weeks === 0) {
		sum = holidaySum;
		weeks = holidays;
	}
	if (profile !== null) {
		sum += ((WEEKS - weeks) * profile[hourOfWeek(wall)]!) / 4;
		weeks = WEEKS;
	}
	return weeks === 0 ? Number.NaN : sum / weeks;
}

function cached(window: RegionWindow, cache: UsualCache, quarter: number): number {
	const slot = quarter & (SLOTS - 1);
	if (cache.quarters[slot] !== quarter) {
		const start = quarter * QUARTER_MS;
		cache.values[slot] = usualOfWall(window, cache, { wall: start + offsetAt(start, cache.time_zone), until: Number.POSITIVE_INFINITY });
		cache.quarters[slot] = quarter;
	}
	return cache.values[slot]!;
}

/** The usual of one quarter, bookings; `fallback` is used where nothing is known. */
function usualOfQuarter(window: RegionWindow, cache: UsualCache, quarter: number, fallback: number): number {
	const value = cached(window, cache, quarter);
	return Math.max(USUAL_MIN, Number.isNaN(value) ? fallback : value);
}

export interface Span {
	from: number;
	to: number;
	/** Bookings a quarter where no week is known. */
	fallback: number;
}

/** Bookings usually made in [from, to), prorated inside a quarter-hour. */
export function usualBetween(window: RegionWindow, cache: UsualCache, { from, to, fallback }: Span): number {
	const first = Math.floor(from / QUARTER_MS);
	const last = Math.ceil(to / QUARTER_MS) - 1;
	let sum = 0;
	for (let quarter = first; quarter <= last; quarter++) {
		const usual = usualOfQuarter(window, cache, quarter, fallback);
		if (quarter !== first && quarter !== last) sum += usual;
		else sum += (usual * (Math.min(to, (quarter + 1) * QUARTER_MS) - Math.max(from, quarter * QUARTER_MS))) / QUARTER_MS;
	}
	return sum;
}

/** The usual's rate integrated over [from, to) with weight exp(-(to - t) / tau_ms). */
export function usualDecayed(window: RegionWindow, cache: UsualCache, { from, to, fallback, tau_ms }: Span & { tau_ms: number }): number {
	const last = Math.ceil(to / QUARTER_MS) - 1;
	let sum = 0;
	let weight = Math.exp((from - to) / tau_ms);
	for (let quarter = Math.floor(from / QUARTER_MS); quarter <= last; quarter++) {
		const end = Math.exp((Math.min((quarter + 1) * QUARTER_MS, to) - to) / tau_ms);
		sum += usualOfQuarter(window, cache, quarter, fallback) * (end - weight);
		weight = end;
	}
	return (sum * tau_ms) / QUARTER_MS;
}
