import { localTime } from '#models/calendar.ts';
import { poisson, random } from './random.ts';

export interface CityZone {
	region_id: string;
	time_zone: string;
	/** Mean bookings by hour of the local week. */
	profile: readonly number[];
}
/** An event as a producer sends it. */
export type CityEvent = Record<string, unknown> & { region_id: string; event_type: string };
/** What happens in a span of time: events, and the price requests that people make before they book or leave. */
export interface CitySpan {
	events: CityEvent[];
	prices: { region_id: string; user_id: string; attributes: { distance_km: number } }[];
	/** What the story is at the moment, for whoever watches. */
	bursts: string[];
}

// The city's habits. There is no public record of searches, cancels or drivers: these are plausible, and simulated wherever they show.
const SEARCHES_PER_BOOKING = 2;
const CANCELS_PER_BOOKING = 0.06;
/** Drivers that a zone has for the bookings usual in a quarter of an hour. */
const DRIVERS_PER_QUARTER_BOOKING = 1.6;
const SNAPSHOT_MS = 15_000;
const WEATHER_MS = 300_000;
const TRAFFIC_MS = 120_000;
/** A burst begins somewhere about this often, lasts 3 to 8 minutes and multiplies demand by 3 to 6. */
const BURST_EVERY_MS = 90_000;

interface Burst {
	region_id: string;
	until: number;
	factor: number;
}

/**
 * A city that plays itself: demand by the zones' hour of week, drivers that follow it with a lag, rain, traffic, and bursts (a concert ends, a train
 * stops). Seeded. `play(from, to)` gives what happens in [from, to), milliseconds; call it with adjoining spans.
 */
export function openCity(zones: readonly CityZone[], options: { seed: number }): { play(from: number, to: number): CitySpan } {
	const next = random(options.seed);
	const between = (low: number, high: number) => low + (high - low) * next();
	let ids = 0;
	const run = Math.floor(next() * 2 ** 32).toString(36);
	let bursts: Burst[] = [];
	let rain = 0;
	/** Drivers on a ride, by zone: they come back at these instants. */
	const busy = new Map<string, number[]>();

	const factorOf = (regionId: string) => bursts.find((burst) => burst.region_id === regionId)?.factor ?? 1;
	const id = () => `sim-${run}-${++ids}`;
	const due = (from: number, to: number, every: number, shift: number) => Math.floor((to + shift) / every) > Math.floor((from + shift) / every);

	function usualRate(zone: CityZone, at: number): number {
		const { day_of_week, hour } = localTime(at, zone.time_zone);
		return zone.profile[day_of_week * 24 + hour] ?? 0;
	}

	return {
		play(from, to) {
			const span: CitySpan = { events: [], prices: [], bursts: [] };
			const hours = (to - from) / 3_600_000;
			bursts = bursts.filter(({ until }) => until > from);
			if (next() < (to - from) / BURST_EVERY_MS) {
				const zone = zones[Math.floor(next() * Math.min(zones.length, 40))];
				if (zone && factorOf(zone.region_id) === 1) bursts.push({ region_id: zone.region_id, until: from + between(180_000, 480_000), factor: between(3, 6) });
			}
			if (due(from, to, WEATHER_MS, 0)) rain = next() < 0.75 ? Math.max(0, rain - 0.5) : rain + between(0, 3);
			const moment = () => Math.floor(between(from, to));
			zones.forEach((zone, index) => {
				const { region_id } = zone;
				const usual = usualRate(zone, from);
				const bookings = poisson(usual * hours * factorOf(region_id), next);
				const at = (event_type: string, timestamp: number, fields: Record<string, unknown>): CityEvent => ({
					event_id: id(),
					event_type,
					region_id,
					timestamp: new Date(timestamp).toISOString(),
					...fields,
				});
				const rides = (busy.get(region_id) ?? []).filter((until) => until > from);
				for (let i = 0; i < bookings; i++) {
					const user_id = `sim-user-${Math.floor(next() * 100_000)}`;
					const ride = { user_id, product_type: 'standard_ride' };
					const timestamp = moment();
					span.prices.push({ region_id, user_id, attributes: { distance_km: Math.round(between(1, 12) * 10) / 10 } });
					span.events.push(at('search', timestamp - 1, ride), at('booking', timestamp, ride));
					rides.push(timestamp + between(360_000, 1_200_000));
				}
				const lookers = poisson(usual * hours * factorOf(region_id) * (SEARCHES_PER_BOOKING - 1), next);
				for (let i = 0; i < lookers; i++) {
					const user_id = `sim-user-${Math.floor(next() * 100_000)}`;
					span.prices.push({ region_id, user_id, attributes: { distance_km: Math.round(between(1, 12) * 10) / 10 } });
					span.events.push(at('search', moment(), { user_id, product_type: 'standard_ride' }));
				}
				for (let i = poisson(bookings * CANCELS_PER_BOOKING, next); i > 0; i--) span.events.push(at('cancel', moment(), {}));
				busy.set(region_id, rides);
				if (due(from, to, SNAPSHOT_MS, index * 251)) {
					const fleet = Math.max(2, Math.round((usual / 4) * DRIVERS_PER_QUARTER_BOOKING * between(0.9, 1.1) + usual / 4));
					const riding = Math.min(fleet, rides.length);
					span.events.push(at('supply_snapshot', to - 1, { available_drivers: Math.max(0, fleet - riding), busy_drivers: riding }));
				}
				if (due(from, to, WEATHER_MS, index * 4001))
					span.events.push(at('weather', to - 1, { temperature_c: Math.round(between(4, 9) * 10) / 10, precipitation_mm_h: Math.round(rain * 10) / 10 }));
				if (due(from, to, TRAFFIC_MS, index * 1009))
					span.events.push(at('traffic', to - 1, { traffic_index: Math.round((1 + rain / 10 + between(0, 0.5)) * 100) / 100 }));
			});
			span.bursts = bursts.map(({ region_id, factor }) => `${region_id} x${factor.toFixed(1)}`);
			return span;
		},
	};
}
