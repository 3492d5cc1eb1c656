import { BOOKING, sumPanes } from './panes.ts';
import { QUARTER_MS, sumQuarters } from './quarters.ts';
import type { RegionWindow } from './window.ts';

/** Bookings before this instant, in quarters from `quarter` on. The quarter that holds it comes from its panes when it is in the past. */
export function bookingsSince(window: RegionWindow, at: number, quarter: number): number {
	const last = Math.floor(at / QUARTER_MS);
	const whole = sumQuarters(window.quarters, quarter, last);
	if (at === window.as_of) return whole + sumQuarters(window.quarters, last, last + 1);
	return whole + sumPanes(window.tens, BOOKING, { from: last * QUARTER_MS, to: at });
}

/** Bookings of [from, at): the oldest quarter prorated, unless all of its bookings came after the edge, with the region's first event. */
export function bookingsFrom(window: RegionWindow, at: number, from: number): number {
	const quarter = Math.floor(from / QUARTER_MS);
	const count = bookingsSince(window, at, quarter);
	if (window.first_user > from) return count;
	return count - ((from - quarter * QUARTER_MS) / QUARTER_MS) * sumQuarters(window.quarters, quarter, quarter + 1);
}
