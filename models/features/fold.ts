import type { Event } from '#schemas/event.ts';
import { limits } from '#schemas/limits.ts';
import { announce, settleAnnouncements } from './city-events.ts';
import { holdOther, holdUser, kindOf, release } from './held.ts';
import { insert } from './history.ts';
import { addToPanes, BOOKING, type Kind, movePanes } from './panes.ts';
import { addToQuarter, moveQuarters, QUARTER_MS } from './quarters.ts';
import { settleReadings } from './readings.ts';
import { addSupply, advanceSupply, settleSupply, supplyEntry } from './supply.ts';
import { forgetUsuals } from './usual.ts';
import type { RegionWindow } from './window.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** The usuals of now stand on quarters older than this. Nothing in time is, but a history may be loaded at once. */
const SETTLED_MS = 6 * DAY_MS;

/**
 * Takes one event in. The caller has seen to it that it is in time, not too far ahead, and not there already. One that happens at or after
 * as_of is held until as_of passes it. Commutative: in whatever order the same events come, and between whatever advances, the features are
 * the same.
 */
export function fold(window: RegionWindow, event: Event): void {
	const { timestamp } = event;
	const kind = kindOf(event);
	if (timestamp >= window.as_of) {
		if (kind === undefined) holdOther(window.held, event);
		else holdUser(window.held, kind, timestamp);
	} else if (kind === undefined) count(window, event);
	else countUser(window, kind, timestamp);
}

function countUser(window: RegionWindow, kind: Kind, at: number): void {
	if (at < window.first_any) window.first_any = at;
	addToPanes(window.seconds, kind, at);
	addToPanes(window.tens, kind, at);
	if (at < window.first_user) window.first_user = at;
	if (at < window.as_of - SETTLED_MS) forgetUsuals(window);
	if (kind !== BOOKING) return;
	addToQuarter(window.quarters, Math.floor(at / QUARTER_MS));
	const day = Math.floor(at / DAY_MS);
	if (day !== window.dirtied) {
		window.dirty.add(day);
		window.dirtied = day;
	}
}

/** An event that is no user's. */
function count(window: RegionWindow, event: Event): void {
	const at = event.timestamp;
	if (at < window.first_any) window.first_any = at;
	const id = event.event_id;
	switch (event.event_type) {
		case 'driver_status':
		case 'supply_snapshot':
			addSupply(window.supply, supplyEntry(event));
			return;
		case 'weather':
			insert(window.weather, { at, id, first: event.temperature_c, second: event.precipitation_mm_h });
			return;
		case 'traffic':
			insert(window.traffic, { at, id, first: event.traffic_index, second: 0 });
			return;
		case 'city_event':
			announce(window.city, { at, id, name: event.name, starts_at: event.starts_at, ends_at: event.ends_at });
			return;
	}
}

/** Moves as_of forward, milliseconds since 1970. It never goes back: an earlier instant changes nothing. */
export function advance(window: RegionWindow, as_of: number): void {
	if (as_of <= window.as_of) return;
	window.as_of = as_of;
	movePanes(window.seconds, as_of);
	movePanes(window.tens, as_of);
	moveQuarters(window.quarters, as_of);
	if (window.held.panes.size > 0) release(window.held, as_of, { user: (kind, at) => countUser(window, kind, at), other: (event) => count(window, event) });
	advanceSupply(window.supply, as_of);
	// A minute beyond what may be asked for, so that the horizon is a whole minute.
	const horizon = Math.floor((as_of - window.lateness_ms - limits.final_back_ms_max) / MINUTE_MS) * MINUTE_MS - MINUTE_MS;
	if (horizon <= window.horizon) return;
	window.horizon = horizon;
	settleSupply(window.supply, horizon);
	settleReadings(window.weather, horizon);
	settleReadings(window.traffic, horizon);
	settleAnnouncements(window.city, horizon);
}
