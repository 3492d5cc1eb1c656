import * as fc from 'fast-check';
import type { Event } from '#schemas/event.ts';
import { advance, fold } from './fold.ts';
import { emptyWindow, type FeatureRegion, type RegionWindow } from './window.ts';

// Arbitrary regions, instants and histories, and ways for a history to arrive.

export const LATENESS_MS = 600_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const common = (event_id: string, timestamp: number) => ({ event_id, region_id: 'r', timestamp, ingested_at: timestamp });

export const user = (event_type: 'booking' | 'search' | 'cancel', timestamp: number, event_id = `${event_type}-${timestamp}`): Event => ({
	...common(event_id, timestamp),
	event_type,
	user_hash: null,
	product_type: null,
	metadata: null,
});
export const snapshot = (timestamp: number, available_drivers: number, busy_drivers = 0, event_id = `s-${timestamp}`): Event => ({
	...common(event_id, timestamp),
	event_type: 'supply_snapshot',
	available_drivers,
	busy_drivers,
});
export const driver = (timestamp: number, driver_hash: string, status: 'available' | 'busy' | 'offline', event_id = `d-${timestamp}`): Event => ({
	...common(event_id, timestamp),
	event_type: 'driver_status',
	driver_hash,
	status,
});
export const weather = (timestamp: number, temperature_c: number, precipitation_mm_h = 0, event_id = `w-${timestamp}`): Event => ({
	...common(event_id, timestamp),
	event_type: 'weather',
	temperature_c,
	precipitation_mm_h,
});
export const traffic = (timestamp: number, traffic_index: number, event_id = `t-${timestamp}`): Event => ({
	...common(event_id, timestamp),
	event_type: 'traffic',
	traffic_index,
});
export const cityEvent = (timestamp: number, name: string, [starts_at, ends_at]: [number, number], event_id = `c-${timestamp}`): Event => ({
	...common(event_id, timestamp),
	event_type: 'city_event',
	name,
	starts_at,
	ends_at,
	attendance: null,
});

/** Days around which clocks change, by zone: spring and autumn; Kathmandu's never do, at 5:45. */
const changes: [string, number[]][] = [
	['America/New_York', [Date.UTC(2025, 2, 9, 7), Date.UTC(2025, 10, 2, 6)]],
	['Australia/Lord_Howe', [Date.UTC(2025, 3, 5, 15), Date.UTC(2025, 9, 4, 15, 30)]],
	['Asia/Kathmandu', [Date.UTC(2025, 0, 1)]],
];

const profile = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 168, maxLength: 168 });

export interface Scene {
	region: FeatureRegion;
	/** The last as_of. */
	now: number;
	events: Event[];
}

/** A kind of event and how long before `now` it happened. */
const ago = fc.oneof(
	{ weight: 3, arbitrary: fc.integer({ min: 1, max: 16 * MINUTE }) },
	{ weight: 3, arbitrary: fc.integer({ min: 1, max: 80 * MINUTE }) },
	{ weight: 2, arbitrary: fc.integer({ min: 22 * HOUR, max: 25 * HOUR }) },
	// Whole weeks back, give or take the hours that the usuals of a day read.
	{ weight: 4, arbitrary: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: -2 * HOUR, max: 25 * HOUR })).map(([weeks, by]) => weeks * 7 * DAY + by) },
	{ weight: 1, arbitrary: fc.integer({ min: 1, max: 30 * DAY }) },
	// On the edges of windows and panes.
	{ weight: 1, arbitrary: fc.constantFrom(1, 1000, 10_000, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 23 * HOUR, DAY, 7 * DAY) },
);

const status = fc.constantFrom('available' as const, 'busy' as const, 'offline' as const);
const someEvent = (now: number) =>
	fc
		.tuple(ago, fc.integer({ min: 0, max: 19 }), fc.integer({ min: 0, max: 50 }), status, fc.string({ minLength: 1, maxLength: 3 }))
		.map(([back, kind, number, is, id]): Event => {
			const at = now - back;
			if (kind < 10) return user('booking', at, id);
			if (kind < 12) return user('search', at, id);
			if (kind < 14) return user('cancel', at, id);
			if (kind < 16) return driver(at, `driver-${number % 4}`, is, id);
			if (kind === 16) return snapshot(at, number, number % 7, id);
			if (kind === 17) return weather(at, number, number / 10, id);
			if (kind === 18) return traffic(at, number / 10, id);
			return cityEvent(at, `event ${number % 3}`, [at + (number - 30) * 10 * MINUTE, at + (number - 30) * 10 * MINUTE + HOUR], id);
		});

/** Drivers and snapshots close together, with ties in time. */
const supplyEvent = (now: number) =>
	fc
		.tuple(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 0, max: 6 }), status, fc.string({ minLength: 1, maxLength: 3 }))
		.map(([minutes, number, is, id]) =>
			number < 5 ? driver(now - minutes * MINUTE, `driver-${number}`, is, id) : snapshot(now - minutes * MINUTE, number, 2, id),
		);

export const scene: fc.Arbitrary<Scene> = fc
	.constantFrom(...changes)
	.chain(([time_zone, days]) =>
		fc.record({
			time_zone: fc.constant(time_zone),
			// Up to five weeks after a change: then some of the weeks behind lie on its other side, or on it.
			now: fc
				.tuple(fc.constantFrom(...days), fc.integer({ min: -1, max: 5 }), fc.integer({ min: -90 * MINUTE, max: 90 * MINUTE }), fc.boolean())
				.map(([day, weeks, by, whole]) => day + weeks * 7 * DAY + (whole ? Math.floor(by / MINUTE) * MINUTE : by)),
			profile: fc.option(profile, { nil: null }),
			dayHolidays: fc.array(fc.integer({ min: 0, max: 29 }), { maxLength: 4 }),
			weekHolidays: fc.constantFrom([], [7], [7, 14, 21, 28]),
			span: fc.oneof(
				fc.constantFrom(30 * DAY, 12 * DAY, 3 * DAY, 3 * HOUR, 20 * MINUTE),
				// First events about the edges of ratio_24h, ratio_24h_ago and rolling_avg_7d.
				fc.integer({ min: 22 * HOUR, max: 25 * HOUR }),
				fc.integer({ min: 7 * DAY - 30 * MINUTE, max: 7 * DAY + 30 * MINUTE }),
			),
		}),
	)
	.chain(({ time_zone, now, profile, dayHolidays, weekHolidays, span }) =>
		fc
			.tuple(fc.array(someEvent(now), { maxLength: 60 }), fc.array(supplyEvent(now), { maxLength: 12 }), fc.integer({ min: 0, max: 300 }), fc.integer())
			.map(([sparse, supply, density, seed]) => {
				const events = [...sparse, ...supply].filter(({ timestamp }) => timestamp > now - span);
				let state = seed >>> 0 || 1;
				const random = () => {
					state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
					return state / 2 ** 32;
				};
				for (let i = 0; i < density; i++)
					events.push(user('booking', now - 1 - Math.floor(random() * Math.min(span, random() < 0.5 ? 2 * HOUR : 30 * DAY)), `dense-${i}`));
				const holiday_dates = [...dayHolidays, ...weekHolidays].map((back) => new Date(now - back * DAY).toISOString().slice(0, 10));
				// An id is folded once, whatever it says: that is the caller's part.
				const unique = [...new Map(events.map((event) => [event.event_id, event])).values()];
				return { region: { time_zone, profile, holiday_dates }, now, events: unique };
			}),
	);

/** Numbers from 0 to 1 that decide how a history arrives; the same seed, the same way. */
export function chance(seed: number): () => number {
	let state = seed >>> 0 || 1;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) / 2 ** 32;
	};
}

/** Folds events as they might arrive: up to the lateness late, up to five minutes early, between advances at any instants; ends at `now`. */
export function arrive(
	{ events, now }: Pick<Scene, 'events' | 'now'>,
	seed: number,
	window: RegionWindow = emptyWindow({ lateness_ms: LATENESS_MS }),
): RegionWindow {
	const random = chance(seed);
	const arrivals = events
		.map((event) => ({ event, at: event.timestamp - 300_000 + Math.floor(random() * (300_000 + LATENESS_MS)) }))
		.sort((a, b) => a.at - b.at);
	for (const { event, at } of arrivals) {
		if (random() < 0.7) advance(window, Math.min(at - Math.floor(random() * 30_000), now));
		fold(window, event);
	}
	advance(window, now);
	return window;
}
