import type { LocalTime } from '#schemas/decision.ts';
import { limits } from '#schemas/limits.ts';

// Instants and local wall times of IANA zones. Intl is slow (microseconds a call), so a zone's offset is remembered by UTC day, in a
// direct-mapped cache of a fixed size. A wall time is written as the milliseconds that a UTC clock showing it would have.

const SECOND_MS = 1000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SLOTS = limits.offset_days_cached;

interface Zone {
	format: Intl.DateTimeFormat;
	/** The UTC day that each slot holds. */
	days: Float64Array;
	/** The offset from the day's start, and from `change` on. */
	before: Float64Array;
	after: Float64Array;
	/** The instant at which the offset changes within the day; Infinity when it does not. */
	change: Float64Array;
}

const zones = new Map<string, Zone>();
let lastName = '';
let lastZone: Zone | undefined;

function zoneOf(timeZone: string): Zone {
	if (lastZone !== undefined && timeZone === lastName) return lastZone;
	let zone = zones.get(timeZone);
	if (zone === undefined) {
		if (zones.size >= limits.time_zones_cached_max) zones.clear();
		zone = {
			format: new Intl.DateTimeFormat('en-US', {
				timeZone,
				hourCycle: 'h23',
				year: 'numeric',
				month: 'numeric',
				day: 'numeric',
				hour: 'numeric',
				minute: 'numeric',
				second: 'numeric',
			}),
			days: new Float64Array(SLOTS).fill(Number.NaN),
			before: new Float64Array(SLOTS),
			after: new Float64Array(SLOTS),
			change: new Float64Array(SLOTS),
		};
		zones.set(timeZone, zone);
	}
	lastName = timeZone;
	lastZone = zone;
	return zone;
}

/** The offset as Intl tells it, the slow way. */
function askIntl(zone: Zone, at: number): number {
	const second = Math.floor(at / SECOND_MS) * SECOND_MS;
	const field: Record<string, number> = {};
	for (const { type, value } of zone.format.formatToParts(second)) field[type] = Number(value);
	return Date.UTC(field['year']!, field['month']! - 1, field['day']!, field['hour']!, field['minute']!, field['second']!) - second;
}

function learnDay(zone: Zone, day: number): void {
	const slot = day & (SLOTS - 1);
	let low = day * DAY_MS;
	let high = low + DAY_MS;
	const before = askIntl(zone, low);
	const after = askIntl(zone, high);
	if (before !== after) {
		while (high - low > 1) {
			const middle = Math.floor((low + high) / 2);
			if (askIntl(zone, middle) === before) low = middle;
			else high = middle;
		}
	}
	zone.days[slot] = day;
	zone.before[slot] = before;
	zone.after[slot] = after;
	zone.change[slot] = before === after ? Number.POSITIVE_INFINITY : high;
}

/** Milliseconds that the zone's clocks are ahead of UTC at this instant. Throws RangeError for a zone that the runtime does not know. */
export function offsetAt(at: number, timeZone: string): number {
	const zone = zoneOf(timeZone);
	const day = Math.floor(at / DAY_MS);
	const slot = day & (SLOTS - 1);
	if (zone.days[slot] !== day) learnDay(zone, day);
	return at < zone.change[slot]! ? zone.before[slot]! : zone.after[slot]!;
}

/** The instant at which the zone's clocks show this wall time: null when they skip it, the first when they show it twice. */
export function instantOf(wall: number, timeZone: string): number | null {
	// No offset is as far as a day from UTC, so these two lie before and after every instant that can show the wall time.
	const earlier = offsetAt(wall - DAY_MS, timeZone);
	const later = offsetAt(wall + DAY_MS, timeZone);
	if (earlier === later) return wall - earlier;
	const [first, second] = earlier > later ? [earlier, later] : [later, earlier];
	if (offsetAt(wall - first, timeZone) === first) return wall - first;
	if (offsetAt(wall - second, timeZone) === second) return wall - second;
	return null;
}

const DATE_SLOTS = 128;
const dateDays = new Float64Array(DATE_SLOTS).fill(Number.NaN);
const dateTexts: string[] = new Array<string>(DATE_SLOTS).fill('');

/** The date of a wall time, YYYY-MM-DD. */
export function dateOf(wall: number): string {
	const day = Math.floor(wall / DAY_MS);
	const slot = day & (DATE_SLOTS - 1);
	if (dateDays[slot] !== day) {
		dateDays[slot] = day;
		dateTexts[slot] = new Date(day * DAY_MS).toISOString().slice(0, 10);
	}
	return dateTexts[slot]!;
}

/** 0 = Monday 00:00 to 01:00 .. 167, of a wall time. */
export function hourOfWeek(wall: number): number {
	// 1970-01-01 was a Thursday.
	const hour = (Math.floor(wall / HOUR_MS) + 3 * 24) % 168;
	return hour < 0 ? hour + 168 : hour;
}

/** The hour, day of week and date that a clock in this zone shows at this instant (milliseconds since 1970). About 100 ns once the day is known. */
export function localTime(at: number, timeZone: string): LocalTime {
	const wall = at + offsetAt(at, timeZone);
	const hour = hourOfWeek(wall);
	const day = Math.floor(hour / 24);
	return { hour: hour - day * 24, day_of_week: day, date: dateOf(wall) };
}
