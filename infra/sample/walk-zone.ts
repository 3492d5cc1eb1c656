import { advance, fold } from '#models/features/fold.ts';
import { emptyWindow, type RegionWindow } from '#models/features/window.ts';
import type { UserEvent } from '#schemas/event.ts';
import { random } from '../city/random.ts';
import type { ZoneHours } from './zone-hours.ts';

export const HOUR_MS = 3_600_000;
export const QUARTER_MS = HOUR_MS / 4;
/** As in a product without configuration; it decides how far back the panes reach, and no feature of `now`. */
const LATENESS_MS = 600_000;

/** Where a walk stands: everything before `at` is folded, nothing else. */
export interface ZoneStep {
	/** Milliseconds since 1970, a whole quarter-hour. */
	at: number;
	window: RegionWindow;
	/** Bookings of the coming quarter-hours, up to four: the truth, which no feature sees. */
	coming(quarters: 1 | 2 | 3 | 4): number;
}

export interface ZoneWalk {
	hours: ZoneHours;
	/** The first instant, a whole hour. */
	begin: number;
	/** Steps are before it; the hour after it is drawn too. */
	end: number;
	/** Where the times inside an hour come from. */
	randomOf(hour: number): () => number;
	/** Events beside the counts, anywhere in time: for tests. */
	planted?: readonly number[];
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
	let state = 0x811c9dc5;
	for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
	return state >>> 0;
}

/** A source of numbers for each hour of a zone: an hour's events are the same whatever is walked before it. */
export function seededHours(zone: string, seed: number): (hour: number) => () => number {
	const base = hash(`${seed} ${zone}`);
	return (hour) => random(base ^ Math.imul(hour / HOUR_MS, 0x9e3779b1));
}

function booking(timestamp: number): UserEvent {
	return { event_id: '', region_id: '', event_type: 'booking', timestamp, ingested_at: timestamp, user_hash: null, product_type: null, metadata: null };
}

/**
 * Expands a zone's hourly counts to events at uniform times inside their hour, folds them, and visits every quarter-hour. What a quarter-hour scatters
 * around its hour is chance, therefore, not traffic.
 */
export function walkZone({ hours, begin, end, randomOf, planted = [] }: ZoneWalk, visit: (step: ZoneStep) => void): void {
	const window = emptyWindow({ lateness_ms: LATENESS_MS });
	const first = begin / QUARTER_MS;
	const counts = new Uint32Array((end - begin) / QUARTER_MS + 8);
	/** The events of quarter q stand at q mod 8: the hour that passes and the one ahead. */
	const times: number[][] = Array.from({ length: 8 }, () => []);
	const put = (at: number) => {
		const quarter = Math.floor(at / QUARTER_MS);
		counts[quarter - first]!++;
		times[quarter & 7]!.push(at);
	};
	const draw = (hour: number) => {
		const next = randomOf(hour);
		for (let i = hours.get(hour) ?? 0; i > 0; i--) put(hour + Math.floor(next() * HOUR_MS));
		for (const at of planted) if (at >= hour && at < hour + HOUR_MS) put(at);
	};
	draw(begin);
	for (let at = begin; at < end; at += QUARTER_MS) {
		const quarter = at / QUARTER_MS;
		if (at % HOUR_MS === 0) draw(at + HOUR_MS);
		advance(window, at);
		if (quarter > first) {
			const passed = times[(quarter - 1) & 7]!;
			for (const time of passed) fold(window, booking(time));
			passed.length = 0;
		}
		visit({
			at,
			window,
			coming: (quarters) => {
				let sum = 0;
				for (let i = 0; i < quarters; i++) sum += counts[quarter - first + i]!;
				return sum;
			},
		});
	}
}
