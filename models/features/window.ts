import { limits } from '#schemas/limits.ts';
import type { Announcement } from './city-events.ts';
import { emptyHeld, type Held } from './held.ts';
import { emptyPanes, type Panes } from './panes.ts';
import { emptyQuarters, type Quarters } from './quarters.ts';
import type { Reading } from './readings.ts';
import { emptySupply, type Supply } from './supply.ts';
import type { UsualCache } from './usual.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The fields of a catalogue entry (Region) that the features depend on. */
export interface FeatureRegion {
	readonly time_zone: string;
	/** 168 bookings per hour, Monday 00:00 first. */
	readonly profile: readonly number[] | null;
	/** Local dates, YYYY-MM-DD. */
	readonly holiday_dates: readonly string[];
}

/** What the features of one region are made of. Only models/features looks inside; about 25 KB. */
export interface RegionWindow {
	readonly lateness_ms: number;
	/** Milliseconds since 1970; 0 before the first advance. Everything that happened before it is counted, nothing else. */
	as_of: number;
	/** When the first booking, search or cancel happened, and the first event of any type; Infinity before one. */
	first_user: number;
	first_any: number;
	readonly seconds: Panes;
	readonly tens: Panes;
	readonly quarters: Quarters;
	/** UTC days whose quarters changed since the last checkpoint. */
	readonly dirty: Set<number>;
	dirtied: number;
	readonly supply: Supply;
	readonly weather: Reading[];
	readonly traffic: Reading[];
	readonly city: Announcement[];
	/** The histories are settled up to here. */
	horizon: number;
	readonly held: Held;
	usual: UsualCache | null;
}

/** A window that has seen nothing. Lateness in milliseconds decides how far back the panes reach. */
export function emptyWindow({ lateness_ms }: { lateness_ms: number }): RegionWindow {
	return {
		lateness_ms,
		as_of: 0,
		first_user: Number.POSITIVE_INFINITY,
		first_any: Number.POSITIVE_INFINITY,
		seconds: emptyPanes(1000, 5 * MINUTE_MS),
		tens: emptyPanes(10_000, HOUR_MS + lateness_ms + 10 * MINUTE_MS),
		// 28 days of weeks, the 24 hours of ratio_24h, an hour of clock change, a neighbour, and a final's way back
		quarters: emptyQuarters(29 * DAY_MS + 2 * HOUR_MS + lateness_ms),
		dirty: new Set(),
		dirtied: -1,
		supply: emptySupply(),
		weather: [],
		traffic: [],
		city: [],
		horizon: 0,
		held: emptyHeld(),
		usual: null,
	};
}

/** Whether any event counts at this instant (default: as_of); until then every feature is null. */
export function hasEvents(window: RegionWindow, at: number = window.as_of): boolean {
	return window.first_any < at;
}

/** Refuses instants that a window cannot answer for: only as_of, and whole minutes up to lateness + 5 minutes before it. */
export function assertAnswerable(window: RegionWindow, at: number): void {
	if (at === window.as_of) return;
	if (at > window.as_of || at % MINUTE_MS !== 0 || at < window.as_of - window.lateness_ms - limits.final_back_ms_max)
		throw new RangeError(
			`Cannot tell the features at ${at}: the window stands at ${window.as_of} and wants that, or a whole minute up to ${window.lateness_ms + limits.final_back_ms_max} ms before it`,
		);
}
