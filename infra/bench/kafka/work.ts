import type { Event } from '#schemas/event.ts';
import type { Region } from '#schemas/region.ts';

/** What a child of the benchmark has to do, as its only argument, JSON. */
export interface Work {
	/** As LOG_URL. */
	kafka: string;
	/** As DATABASE_URL: the feature worker's checkpoints. */
	database: string;
	/** Where the child writes what it counted: the naive consumer, which has no log of finals. */
	result: string;
	/** The naive consumer's own topic. */
	json_topic: string;
	partitions: number;
	regions: number;
	/** Ends when it has counted so many. */
	events: number;
	/** The deployment clock, milliseconds; null for the wall's. */
	now: number | null;
	/** Events a second that the producer sends. */
	rate: number;
}

/** A child's last line. */
export interface Worked {
	events: number;
	/** Processor time from after its connections until all is counted and saved, user and system. */
	cpu_seconds: number;
	seconds: number;
	/** How far the fold was behind the clock, milliseconds, one a quarter of a second. */
	lags: number[];
}

/** Of event time: a city that is busy, in the contract's proportions. */
export const EVENTS_A_SECOND = 10_000;
export const START = Date.UTC(2026, 0, 11, 10);
export const LATENESS_MS = 600_000;

const types = ['booking', 'booking', 'booking', 'search', 'search', 'cancel'] as const;

/** The n-th event, the same in every process; up to 4 s old when it is stamped. */
export function eventOf(n: number, { regions, stamp = START + Math.floor((n * 1000) / EVENTS_A_SECOND) }: { regions: number; stamp?: number }): Event {
	return {
		event_id: `0199c0de-7e57-7000-8000-${n.toString(16).padStart(12, '0')}`,
		event_type: types[n % types.length]!,
		region_id: `r-${(n * 7919) % regions}`,
		timestamp: stamp - ((n * 31) % 4000),
		ingested_at: stamp,
		user_hash: null,
		product_type: 'standard_ride',
		metadata: null,
	};
}

export const entriesOf = (regions: number): Region[] =>
	Array.from({ length: regions }, (_, i) => {
		const rest = { rule_set: 'city', location_hint: null, neighbours: [], profile: null, minutes_per_booking: 20, holidays: null, holiday_dates: [] };
		return { region_id: `r-${i}`, name: `r-${i}`, time_zone: 'America/New_York', ...rest, frozen: false, version: 1 };
	});

/** What the argument says. */
export const workOf = (): Work => JSON.parse(process.argv[2]!);

/** Says how it went, and ends the process. */
export function done(worked: Worked): never {
	console.log(JSON.stringify(worked));
	process.exit(0);
}
