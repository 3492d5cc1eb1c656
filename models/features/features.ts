import { type FeatureVector, featureNames } from '#schemas/feature.ts';
import { dateOf, hourOfWeek, offsetAt } from '../calendar.ts';
import { bookingsFrom, bookingsSince } from './bookings.ts';
import { runningAt } from './city-events.ts';
import { BOOKING, CANCEL, decayPanes, type Kind, type Panes, SEARCH, sumPanes } from './panes.ts';
import { QUARTER_MS, sumQuarters } from './quarters.ts';
import { readingAt } from './readings.ts';
import { liveSupply, pastSupply, type SupplyCounts } from './supply.ts';
import { USUAL_MIN, type UsualCache, usualBetween, usualCache, usualDecayed, WEEKS } from './usual.ts';
import { assertAnswerable, type FeatureRegion, hasEvents, type RegionWindow } from './window.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const WEEK_MS = 7 * DAY_MS;
const TAU_MS = 20 * MINUTE_MS;
/** The least part of a window that counts: of a young region, and of one whose profile says what is usual. */
const YOUNG_MS = HOUR_MS;
const YOUNG_PROFILED_MS = 5 * MINUTE_MS;

const nothing: FeatureVector = featureNames.map(() => null);

/** Bookings against the usual, drawn to 1 where there are few: (count + k) / (usual + k). */
function ratio(count: number, usual: number): number {
	const k = 10 + 8 * Math.sqrt(usual);
	return (count + k) / (usual + k);
}

function supplyAt(window: RegionWindow, at: number): SupplyCounts | null {
	return at === window.as_of ? liveSupply(window.supply, at) : pastSupply(window.supply, at);
}

/** Fills in what the calendar says of the date, unless it is the date of the last call. */
function learnDate(cache: UsualCache, wall: number): void {
	const date = dateOf(wall);
	if (date === cache.date) return;
	cache.date = date;
	cache.holiday = cache.holiday_dates.includes(date);
	cache.season = Math.floor((Number(date.slice(5, 7)) % 12) / 3);
}

/** The mean hour of the last whole weeks since the first event, those missing of four filled by the profile; null when neither is known. */
function meanHour(window: RegionWindow, cache: UsualCache, at: number): number | null {
	const weeks = Math.max(0, Math.min(WEEKS, Math.floor((at - window.first_user) / WEEK_MS)));
	const bookings = weeks === 0 ? 0 : bookingsFrom(window, at, at - weeks * WEEK_MS) / 168;
	if (cache.profile === null) return weeks === 0 ? null : bookings / weeks;
	return (bookings + (WEEKS - weeks) * cache.profileMean) / WEEKS;
}

/**
 * The feature vector (feature set v1, contract.md) of a region: live at as_of, or final at a whole minute up to lateness + 5 minutes before it.
 * All null before any event. Pass the same `profile` and `holiday_dates` objects while the catalogue entry stays: usuals are cached by them.
 * Throws RangeError for an instant that the window cannot answer for.
 */
export function features(window: RegionWindow, region: FeatureRegion, at: number): FeatureVector {
	assertAnswerable(window, at);
	if (!hasEvents(window, at)) return nothing;

	const cache = usualCache(window, region);
	const wall = at + offsetAt(at, region.time_zone);
	learnDate(cache, wall);
	const hour = hourOfWeek(wall);
	const day = Math.floor(hour / 24);

	// A whole minute needs no 1-second panes: its edges are those of 10-second panes.
	const fine: Panes = at === window.as_of ? window.seconds : window.tens;
	const past = (panes: Panes, kind: Kind, width: number) => sumPanes(panes, kind, { from: at - width, to: at });
	const bookings1 = past(fine, BOOKING, MINUTE_MS);
	const bookings5 = past(fine, BOOKING, 5 * MINUTE_MS);
	const bookings15 = past(window.tens, BOOKING, 15 * MINUTE_MS);
	const bookings60 = past(window.tens, BOOKING, HOUR_MS);
	const cancels1 = past(fine, CANCEL, MINUTE_MS);

	const first = Math.min(window.first_user, at);
	const age = at - first;
	// Nothing was booked before the first event, so only the usual has to leave out what lies before this edge.
	const edge = Math.min(first, at - (region.profile === null ? YOUNG_MS : YOUNG_PROFILED_MS));
	const fallback = (bookingsSince(window, at, Math.floor(first / QUARTER_MS)) / Math.max(HOUR_MS, age)) * QUARTER_MS;
	const usual = (from: number, to: number) => usualBetween(window, cache, { from, to, fallback });
	const usualPast = (width: number) => usual(Math.max(at - width, edge), at);
	const usual60 = usual(at, at + HOUR_MS);

	const agoFrom = at - DAY_MS;
	const agoTo = agoFrom + HOUR_MS;
	const agoQuarter = Math.floor(agoTo / QUARTER_MS);
	const agoCount =
		bookingsFrom(window, at, agoFrom) -
		bookingsSince(window, at, agoQuarter) +
		((agoTo - agoQuarter * QUARTER_MS) / QUARTER_MS) * sumQuarters(window.quarters, agoQuarter, agoQuarter + 1);

	const mean = meanHour(window, cache, at);
	const supply = supplyAt(window, at);
	const weather = readingAt(window.weather, at);

	return [
		hour - day * 24,
		day,
		day > 4 ? 1 : 0,
		cache.season,
		cache.holiday ? 1 : 0,
		bookings1,
		bookings5,
		bookings15,
		bookings60,
		past(fine, SEARCH, MINUTE_MS),
		past(fine, SEARCH, 5 * MINUTE_MS),
		cancels1 === 0 ? 0 : cancels1 / (bookings1 + cancels1),
		usual(at, at + 15 * MINUTE_MS),
		usual(at, at + 30 * MINUTE_MS),
		usual60,
		ratio(bookings5, usualPast(5 * MINUTE_MS)),
		ratio(bookings15, usualPast(15 * MINUTE_MS)),
		ratio(bookings60, usualPast(HOUR_MS)),
		ratio(bookingsFrom(window, at, agoFrom), usualPast(DAY_MS)),
		edge >= agoTo ? 1 : ratio(agoCount, usual(Math.max(agoFrom, edge), agoTo)),
		decayPanes(window.tens, BOOKING, { from: at - HOUR_MS, to: at, tau_ms: TAU_MS }),
		usualDecayed(window, cache, { from: Math.max(at - HOUR_MS, edge), to: at, fallback, tau_ms: TAU_MS }),
		bookingsFrom(window, at, at - WEEK_MS) / (Math.min(WEEK_MS, Math.max(HOUR_MS, age)) / (5 * MINUTE_MS)),
		mean === null ? 1 : usual60 / Math.max(mean, 4 * USUAL_MIN),
		region.profile === null ? Math.min(28, age / DAY_MS) : 28,
		supply === null ? null : supply.available,
		supply === null ? null : supply.busy === 0 ? 0 : supply.busy / (supply.busy + supply.available),
		weather === null ? null : weather.first,
		weather === null ? null : weather.second,
		readingAt(window.traffic, at)?.first ?? null,
		runningAt(window.city, at),
	];
}

/** How many drivers are busy at an instant that features() could be asked for; null without supply data in the 10 minutes before it. */
export function busyDrivers(window: RegionWindow, at: number): number | null {
	assertAnswerable(window, at);
	return supplyAt(window, at)?.busy ?? null;
}
