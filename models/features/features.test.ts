import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Event, UserEvent } from '#schemas/event.ts';
import { type FeatureName, type FeatureVector, featureIndex, featureNames } from '#schemas/feature.ts';
import { busyDrivers, features } from './features.ts';
import { advance, fold } from './fold.ts';
import { arrive, cityEvent, driver, LATENESS_MS, type Scene, scene, snapshot, traffic, user, weather } from './scenes.test-support.ts';
import { usualWeek } from './usual-week.ts';
import { emptyWindow, type FeatureRegion, hasEvents } from './window.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;
const QUARTER = 15 * MINUTE;
const plain: FeatureRegion = { time_zone: 'Asia/Singapore', profile: null, holiday_dates: [] };
const NOON = Date.UTC(2026, 0, 14, 4);

// ---- The oracle: the contract computed again from the raw events, slowly and with none of the code under test.

const formats = new Map<string, Intl.DateTimeFormat>();
const offsets = new Map<string, number>();
function offset(at: number, zone: string): number {
	const key = `${zone} ${Math.floor(at / QUARTER)}`;
	const known = offsets.get(key);
	if (known !== undefined) return known;
	let format = formats.get(zone);
	if (!format) {
		format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' });
		formats.set(zone, format);
	}
	const start = Math.floor(at / QUARTER) * QUARTER;
	const value = Date.parse(`${format.format(start).replace(' ', 'T')}Z`) - start;
	offsets.set(key, value);
	return value;
}
const instants = new Map<string, number | null>();
function firstInstant(wall: number, zone: string): number | null {
	const key = `${zone} ${wall}`;
	const known = instants.get(key);
	if (known !== undefined) return known;
	let found: number | null = null;
	for (let at = wall - 15 * HOUR; at <= wall + 15 * HOUR && found === null; at += QUARTER) if (at + offset(at, zone) === wall) found = at;
	instants.set(key, found);
	return found;
}
const date = (wall: number) => new Date(wall).toISOString().slice(0, 10);
const hourOfWeek = (wall: number) => ((new Date(wall).getUTCDay() + 6) % 7) * 24 + new Date(wall).getUTCHours();
const later = (a: Event, b: Event) => a.timestamp - b.timestamp || (a.event_id < b.event_id ? -1 : 1);

function oracle(all: Event[], region: FeatureRegion, at: number): Record<FeatureName, number | null> | null {
	const events = all.filter((event) => event.timestamp < at).sort(later);
	if (events.length === 0) return null;
	const users = events.filter((event): event is UserEvent => event.event_type === 'booking' || event.event_type === 'search' || event.event_type === 'cancel');
	const first = users[0]?.timestamp ?? at;
	const bookings = users.filter((event) => event.event_type === 'booking').map((event) => event.timestamp);
	const within = (from: number, to: number) => bookings.filter((t) => t >= from && t < to).length;
	const quarterCount = (q: number) => within(q * QUARTER, (q + 1) * QUARTER);
	const floor = (t: number, pane: number) => Math.floor(t / pane) * pane;

	const usualQuarter = (q: number): number => {
		const wall = q * QUARTER + offset(q * QUARTER, region.time_zone);
		const weeks: { value: number; holiday: boolean }[] = [];
		for (const k of [1, 2, 3, 4]) {
			const past = firstInstant(wall - k * WEEK, region.time_zone);
			if (past === null) continue;
			const p = past / QUARTER;
			if (p < Math.floor(first / QUARTER)) continue;
			const value = (quarterCount(p - 1) + 2 * quarterCount(p) + quarterCount(p + 1)) / 4;
			weeks.push({ value, holiday: region.holiday_dates.includes(date(wall - k * WEEK)) });
		}
		const working = weeks.filter((week) => !week.holiday);
		const used = (working.length > 0 ? working : weeks).map((week) => week.value);
		if (region.profile) while (used.length < 4) used.push(region.profile[hourOfWeek(wall)]! / 4);
		if (used.length === 0) used.push((bookings.length / Math.max(HOUR, at - first)) * QUARTER);
		return Math.max(0.0125, used.reduce((a, b) => a + b) / used.length);
	};
	const memo = new Map<number, number>();
	const usualOf = (q: number) => {
		const known = memo.get(q) ?? usualQuarter(q);
		memo.set(q, known);
		return known;
	};
	const pieces = (from: number, to: number) => {
		const list: { q: number; a: number; b: number }[] = [];
		for (let q = Math.floor(from / QUARTER); q * QUARTER < to; q++) list.push({ q, a: Math.max(from, q * QUARTER), b: Math.min(to, (q + 1) * QUARTER) });
		return list;
	};
	const usual = (from: number, to: number) => pieces(from, to).reduce((sum, { q, a, b }) => sum + (usualOf(q) * (b - a)) / QUARTER, 0);
	const edge = Math.min(first, at - (region.profile ? 5 * MINUTE : HOUR));
	const past = (width: number) => usual(Math.max(at - width, edge), at);
	const ratio = (count: number, u: number) => (count + 10 + 8 * Math.sqrt(u)) / (u + 10 + 8 * Math.sqrt(u));
	/** Bookings of [from, to) by quarters, both edges prorated. */
	const byQuarters = (from: number, to: number) =>
		pieces(from, to).reduce((sum, { q, a, b }) => {
			const oldest = a > q * QUARTER && first <= from;
			const newest = b < (q + 1) * QUARTER && to < at;
			const count = quarterCount(q);
			return sum + count - (oldest ? (count * (a - q * QUARTER)) / QUARTER : 0) - (newest ? (count * ((q + 1) * QUARTER - b)) / QUARTER : 0);
		}, 0);

	const type = (wanted: string, width: number, pane: number) =>
		users.filter((event) => event.event_type === wanted && event.timestamp >= floor(at - width, pane)).length;
	const bookings1 = type('booking', MINUTE, 1000);
	const cancels1 = type('cancel', MINUTE, 1000);
	const bookings5 = type('booking', 5 * MINUTE, 1000);
	const bookings15 = type('booking', 15 * MINUTE, 10_000);
	const bookings60 = type('booking', HOUR, 10_000);

	const weeks = Math.min(4, Math.floor((at - first) / WEEK));
	const hours: number[] = [];
	for (let k = 1; k <= weeks; k++) hours.push(byQuarters(at - k * WEEK, at - (k - 1) * WEEK) / 168);
	if (region.profile) while (hours.length < 4) hours.push(region.profile.reduce((a, b) => a + b) / 168);
	const meanHour = hours.length > 0 ? hours.reduce((a, b) => a + b) / hours.length : null;

	let available = 0;
	let busy = 0;
	const drivers = new Map<string, Event & { event_type: 'driver_status' }>();
	let lastSupply = Number.NEGATIVE_INFINITY;
	const running = new Map<string, Event & { event_type: 'city_event' }>();
	let lastWeather: (Event & { event_type: 'weather' }) | null = null;
	let lastTraffic: (Event & { event_type: 'traffic' }) | null = null;
	for (const event of events) {
		if (event.event_type === 'supply_snapshot' || event.event_type === 'driver_status') lastSupply = event.timestamp;
		if (event.event_type === 'supply_snapshot') {
			available = event.available_drivers;
			busy = event.busy_drivers;
			drivers.clear();
		}
		if (event.event_type === 'driver_status') drivers.set(event.driver_hash, event);
		if (event.event_type === 'city_event') running.set(event.name, event);
		if (event.event_type === 'weather') lastWeather = event;
		if (event.event_type === 'traffic') lastTraffic = event;
	}
	for (const { timestamp, status } of drivers.values()) {
		if (timestamp < at - HOUR) continue;
		if (status === 'available') available++;
		if (status === 'busy') busy++;
	}
	const supplied = lastSupply >= at - 10 * MINUTE;
	const fresh = <T extends { timestamp: number }>(reading: T | null): T | null => (reading && reading.timestamp >= at - 3 * HOUR ? reading : null);

	const wall = at + offset(at, region.time_zone);
	const day = Math.floor(hourOfWeek(wall) / 24);
	const agoTo = at - 23 * HOUR;
	return {
		hour: new Date(wall).getUTCHours(),
		day_of_week: day,
		is_weekend: day >= 5 ? 1 : 0,
		season: [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0][new Date(wall).getUTCMonth()]!,
		is_holiday: region.holiday_dates.includes(date(wall)) ? 1 : 0,
		booking_count_1min: bookings1,
		booking_count_5min: bookings5,
		booking_count_15min: bookings15,
		booking_count_60min: bookings60,
		search_count_1min: type('search', MINUTE, 1000),
		search_count_5min: type('search', 5 * MINUTE, 1000),
		cancel_rate_1min: cancels1 === 0 ? 0 : cancels1 / (cancels1 + bookings1),
		usual_15min: usual(at, at + 15 * MINUTE),
		usual_30min: usual(at, at + 30 * MINUTE),
		usual_60min: usual(at, at + HOUR),
		demand_trend: ratio(bookings5, past(5 * MINUTE)),
		ratio_15min: ratio(bookings15, past(15 * MINUTE)),
		ratio_60min: ratio(bookings60, past(HOUR)),
		ratio_24h: ratio(byQuarters(at - DAY, at), past(DAY)),
		ratio_24h_ago: edge >= agoTo ? 1 : ratio(byQuarters(at - DAY, agoTo), usual(Math.max(at - DAY, edge), agoTo)),
		recent_bookings: bookings.filter((t) => t >= floor(at - HOUR, 10_000)).reduce((sum, t) => sum + Math.exp((floor(t, 10_000) - at) / (20 * MINUTE)), 0),
		recent_usual: pieces(Math.max(at - HOUR, edge), at).reduce(
			(sum, { q, a, b }) => sum + ((usualOf(q) * 20 * MINUTE) / QUARTER) * (Math.exp((b - at) / (20 * MINUTE)) - Math.exp((a - at) / (20 * MINUTE))),
			0,
		),
		rolling_avg_7d: byQuarters(at - WEEK, at) / (Math.min(WEEK, Math.max(HOUR, at - first)) / (5 * MINUTE)),
		seasonality_score: meanHour === null ? 1 : usual(at, at + HOUR) / Math.max(0.05, meanHour),
		history_days: region.profile ? 28 : Math.min(28, (at - first) / DAY),
		available_drivers: supplied ? available : null,
		driver_utilization: supplied ? (busy === 0 ? 0 : busy / (busy + available)) : null,
		temperature_c: fresh(lastWeather)?.temperature_c ?? null,
		precipitation_mm_h: fresh(lastWeather)?.precipitation_mm_h ?? null,
		traffic_index: fresh(lastTraffic)?.traffic_index ?? null,
		active_events: [...running.values()].filter(({ starts_at, ends_at }) => starts_at <= at && at < ends_at).length,
	};
}

function expectOracle(values: FeatureVector, { events, region }: Scene, at: number): void {
	const wanted = oracle(events, region, at);
	const wrong = featureNames.filter((name) => {
		const value = values[featureIndex[name]]!;
		const wish = wanted?.[name] ?? null;
		return value === null || wish === null ? value !== wish : !(Math.abs(value - wish) <= 1e-9 * Math.max(1, Math.abs(wish)));
	});
	expect(wrong.map((name) => `${name}: ${values[featureIndex[name]]}, wanted ${wanted?.[name]}`)).toEqual([]);
}

const seed = fc.integer({ min: 1, max: 2 ** 31 });
const get = (values: FeatureVector, name: FeatureName) => values[featureIndex[name]];

describe('features()', () => {
	test('equals the contract computed again from the raw events', () => {
		fc.assert(
			fc.property(scene, seed, (one, way) => {
				const window = arrive(one, way);
				expectOracle(features(window, one.region, one.now), one, one.now);
			}),
			{ numRuns: 300 },
		);
	});

	test('at a final minute equals the contract computed again from the raw events', () => {
		fc.assert(
			fc.property(scene, seed, fc.integer({ min: 0, max: 14 }), (one, way, back) => {
				const window = arrive(one, way);
				const minute = Math.floor(one.now / MINUTE) * MINUTE - back * MINUTE;
				expectOracle(features(window, one.region, minute), one, minute);
			}),
			{ numRuns: 200 },
		);
	});

	test('at a final minute equals the contract also under a lateness of two hours', () => {
		fc.assert(
			fc.property(scene, seed, fc.integer({ min: 0, max: 120 }), (one, way, back) => {
				const window = arrive(one, way, emptyWindow({ lateness_ms: 2 * HOUR }));
				const minute = Math.floor(one.now / MINUTE) * MINUTE - back * MINUTE;
				expectOracle(features(window, one.region, minute), one, minute);
			}),
			{ numRuns: 100 },
		);
	});

	test('at a final minute equals to the bit what a worker that stopped there has', () => {
		fc.assert(
			fc.property(scene, seed, fc.integer({ min: 0, max: 14 }), (one, way, back) => {
				const minute = Math.floor(one.now / MINUTE) * MINUTE - back * MINUTE;
				const stopped = emptyWindow({ lateness_ms: LATENESS_MS });
				for (const event of [...one.events].sort(later)) {
					advance(stopped, Math.min(minute, event.timestamp));
					fold(stopped, event);
				}
				advance(stopped, minute);
				expect(features(arrive(one, way), one.region, minute)).toEqual(features(stopped, one.region, minute));
			}),
			{ numRuns: 200 },
		);
	});

	test('is null for everything until an event counts, and only then', () => {
		const window = emptyWindow({ lateness_ms: LATENESS_MS });
		advance(window, NOON);
		fold(window, user('booking', NOON));
		expect(hasEvents(window)).toBe(false);
		expect(features(window, plain, NOON)).toEqual(featureNames.map(() => null));
		expect(busyDrivers(window, NOON)).toBe(null);
		advance(window, NOON + 1);
		expect(hasEvents(window)).toBe(true);
		expect(get(features(window, plain, NOON + 1), 'booking_count_1min')).toBe(1);
	});

	test('gives the figures by hand of 40 bookings in the first hour of a region', () => {
		const window = emptyWindow({ lateness_ms: LATENESS_MS });
		advance(window, NOON);
		for (let i = 0; i < 40; i++) fold(window, user('booking', NOON + 1234 + i));
		for (let i = 0; i < 10; i++) fold(window, user('cancel', NOON + 1300 + i));
		advance(window, NOON + 7777);
		const values = features(window, plain, window.as_of);
		const want = { booking_count_60min: 40, cancel_rate_1min: 0.2, rolling_avg_7d: 40 / 12, usual_15min: 10, usual_60min: 40, ratio_60min: 1 };
		for (const [name, value] of Object.entries(want)) expect([name, get(values, name as FeatureName)]).toEqual([name, expect.closeTo(value, 9)]);
	});

	test('takes counts that are as usual for a ratio of exactly 1', () => {
		const window = emptyWindow({ lateness_ms: LATENESS_MS });
		const region = { ...plain, profile: new Array<number>(168).fill(120) };
		advance(window, NOON - DAY);
		fold(window, user('search', NOON - DAY));
		for (let at = NOON - HOUR; at < NOON; at += 30_000) {
			advance(window, at);
			fold(window, user('booking', at));
		}
		advance(window, NOON);
		const values = features(window, region, NOON);
		for (const name of ['demand_trend', 'ratio_15min', 'ratio_60min'] as const) expect(get(values, name)).toBe(1);
	});

	test('follows a region whose catalogue entry changes', () => {
		fc.assert(
			fc.property(scene, scene, seed, (one, other, way) => {
				const window = arrive(one, way);
				features(window, one.region, one.now);
				expect(features(window, other.region, one.now)).toEqual(features(arrive(one, way), other.region, one.now));
			}),
			{ numRuns: 60 },
		);
	});

	test('follows a past that is loaded after it was asked', () => {
		fc.assert(
			fc.property(scene, (one) => {
				const [old, recent] = [true, false].map((wanted) => one.events.filter((event) => event.timestamp < one.now - 6 * DAY === wanted));
				const window = arrive({ events: recent!, now: one.now }, 1);
				features(window, one.region, one.now);
				for (const event of old!) if (event.event_type === 'booking' || event.event_type === 'search') fold(window, event);
				const asked = features(window, one.region, one.now);
				window.usual = null;
				expect(asked).toEqual(features(window, one.region, one.now));
			}),
			{ numRuns: 60 },
		);
	});

	test('refuses instants that the window cannot answer for', () => {
		const window = emptyWindow({ lateness_ms: LATENESS_MS });
		advance(window, NOON);
		fold(window, user('booking', NOON - 1));
		for (const at of [NOON + 1, NOON - 1, NOON - 16 * MINUTE]) expect(() => features(window, plain, at)).toThrow(RangeError);
	});
});

describe('fold()', () => {
	test('counts an event once whatever the order and the advances between', () => {
		fc.assert(
			fc.property(scene, seed, seed, (one, way, another) => {
				const [a, b] = [arrive(one, way), arrive(one, another)];
				expect(features(a, one.region, one.now)).toEqual(features(b, one.region, one.now));
				const minute = Math.floor(one.now / MINUTE) * MINUTE - 7 * MINUTE;
				expect(features(a, one.region, minute)).toEqual(features(b, one.region, minute));
				expect(busyDrivers(a, minute)).toBe(busyDrivers(b, minute));
			}),
			{ numRuns: 200 },
		);
	});

	test('holds an event until as_of has passed it', () => {
		const window = emptyWindow({ lateness_ms: LATENESS_MS });
		advance(window, NOON);
		fold(window, user('booking', NOON - 1));
		fold(window, user('booking', NOON + 299_000));
		const count = () => get(features(window, plain, window.as_of), 'booking_count_5min');
		expect(count()).toBe(1);
		advance(window, NOON + 299_000);
		expect(count()).toBe(1);
		advance(window, NOON + 299_001);
		expect(count()).toBe(2);
	});
});

describe('supply', () => {
	const supplyOf = (events: Event[], at: number) => {
		const window = emptyWindow({ lateness_ms: LATENESS_MS });
		for (const event of events) {
			advance(window, Math.min(at, event.timestamp));
			fold(window, event);
		}
		advance(window, at);
		const values = features(window, plain, at);
		return [get(values, 'available_drivers'), busyDrivers(window, at)];
	};

	test('moves one driver from its status known since the snapshot', () => {
		const events = [driver(NOON, 'a', 'available', '1'), driver(NOON, 'b', 'busy', '2'), driver(NOON, 'c', 'offline', '3')];
		expect(supplyOf(events, NOON + 1)).toEqual([1, 1]);
		events.push(driver(NOON + 1, 'a', 'busy'));
		expect(supplyOf(events, NOON + 2)).toEqual([0, 2]);
		events.push(snapshot(NOON + 2, 17, 3), driver(NOON + 3, 'a', 'available'));
		expect(supplyOf(events, NOON + 4)).toEqual([18, 3]);
	});

	test('forgets a driver after 60 minutes and everything after 10 minutes of silence', () => {
		const events = [driver(NOON, 'a', 'available'), driver(NOON + 55 * MINUTE, 'b', 'busy')];
		expect(supplyOf(events, NOON + 60 * MINUTE)).toEqual([1, 1]);
		expect(supplyOf(events, NOON + 60 * MINUTE + 1)).toEqual([0, 1]);
		expect(supplyOf(events, NOON + 65 * MINUTE)).toEqual([0, 1]);
		expect(supplyOf(events, NOON + 65 * MINUTE + 1)).toEqual([null, null]);
	});
});

describe('readings and city events', () => {
	test('the last by time and id counts, for three hours, and a name announced again replaces itself', () => {
		const window = emptyWindow({ lateness_ms: LATENESS_MS });
		advance(window, NOON);
		fold(window, weather(NOON - 5, 20, 1, 'b'));
		fold(window, weather(NOON - 5, 30, 2, 'a'));
		fold(window, traffic(NOON - 9, 1.4));
		fold(window, cityEvent(NOON - 9, 'Marathon', [NOON - HOUR, NOON + HOUR]));
		const read = () =>
			(['temperature_c', 'precipitation_mm_h', 'traffic_index', 'active_events'] as const).map((name) => get(features(window, plain, window.as_of), name));
		expect(read()).toEqual([20, 1, 1.4, 1]);
		fold(window, cityEvent(NOON - 8, 'Marathon', [NOON + HOUR, NOON + 2 * HOUR]));
		expect(read()).toEqual([20, 1, 1.4, 0]);
		advance(window, NOON + 3 * HOUR - 5);
		expect(read()).toEqual([20, 1, null, 0]);
		advance(window, NOON + 3 * HOUR);
		expect(read()).toEqual([null, null, null, 0]);
	});
});

describe('usualWeek()', () => {
	test('is the profile where nothing else is known, and the usual of an hour by its local name', () => {
		const profile = Array.from({ length: 168 }, (_, hour) => hour + 1);
		const region = { time_zone: 'America/New_York', profile, holiday_dates: [] };
		const window = emptyWindow({ lateness_ms: LATENESS_MS });
		advance(window, NOON);
		fold(window, user('booking', NOON - 1));
		expect(usualWeek(window, region, NOON)).toEqual(profile.map((value) => expect.closeTo(value, 9)));
	});

	test('tells the coming hours what features() says of them', () => {
		fc.assert(
			fc.property(scene, seed, (one, way) => {
				const at = Math.floor(one.now / HOUR) * HOUR;
				if (offset(at, one.region.time_zone) % HOUR !== 0 || offset(at + HOUR, one.region.time_zone) !== offset(at, one.region.time_zone)) return;
				const window = arrive({ events: one.events.filter((event) => event.timestamp < at), now: at }, way);
				if (!hasEvents(window)) return;
				const usual = get(features(window, one.region, at), 'usual_60min')!;
				expect(usualWeek(window, one.region, at)[hourOfWeek(at + offset(at, one.region.time_zone))]).toBeCloseTo(usual, 9);
			}),
			{ numRuns: 100 },
		);
	});
});
