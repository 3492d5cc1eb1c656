import { type FeatureVector, featureIndex } from '#schemas/feature.ts';
import type { Forecast, Horizon, HorizonMinutes } from '#schemas/forecast.ts';
import { limits } from '#schemas/limits.ts';
import { halfEven } from './half-even.ts';

export interface Scores {
	/** 4 decimals; 0.5 = as usual for this time of week. */
	demand_score: number;
	/** 4 decimals; null without supply data. */
	supply_score: number | null;
	/** 4 decimals. */
	confidence: number;
	/** 2 decimals. */
	expected_bookings: number;
	/** Whether any number had to be clamped: NaN, an infinity, below 0, beyond the limit. */
	finite: boolean;
}

/** What scores() reads of a region's features. */
export interface SupplyAndUsual {
	values: FeatureVector;
	/** The count behind driver_utilization. Left out: derived from the ratio, which cannot tell when nobody is available. */
	busy_drivers?: number | null;
}

const usualIndex: Record<HorizonMinutes, number> = { 15: featureIndex.usual_15min, 30: featureIndex.usual_30min, 60: featureIndex.usual_60min };
const SCALE = 10_000;

/**
 * The scores of a forecast over the horizon h of a rule set, by contract.md, "Edge":
 * demand = (e + 1) / (e + 1 + u + 1), supply = (s + 1) / (s + 1 + e + 1), s = (available + busy x min(1, h/m)) x max(1, h/m),
 * confidence = 1 - (high - low) / (high + low + 1). Rounded half-even, from the expected bookings before those are rounded.
 * Without features (the usual stands in) demand is as usual and supply unknown. Never throws: what is no sensible number is clamped and told.
 */
export function scores(
	features: SupplyAndUsual | null,
	forecast: Forecast,
	{ horizon_minutes, minutes_per_booking }: { horizon_minutes: HorizonMinutes; minutes_per_booking: number },
): Scores {
	const horizon = horizonOf(forecast, horizon_minutes);
	let finite = true;
	/** The value within 0 .. the limit; `instead` where there is none. */
	const bounded = (value: number | null | undefined, instead: number): number => {
		if (typeof value === 'number' && value >= 0 && value <= limits.expected_bookings_max) return value;
		if (value === null || value === undefined) return instead;
		finite = false;
		return Number.isNaN(value) ? instead : value < 0 ? 0 : limits.expected_bookings_max;
	};

	const usual = features?.values[usualIndex[horizon_minutes]];
	const expected = bounded(horizon.expected, typeof usual === 'number' && usual >= 0 ? Math.min(usual, limits.expected_bookings_max) : 0);
	// A usual that is not known counts as balance.
	const ordinary = features === null ? expected : bounded(usual, expected);
	const supply = features === null ? null : startable(features, horizon_minutes / minutes_per_booking);
	const startable_bookings = supply === null ? null : bounded(supply, 0);
	const low = bounded(horizon.low, 0);
	const high = Math.max(low, bounded(horizon.high, low));
	return {
		demand_score: halfEven((SCALE * (expected + 1)) / (expected + 1 + ordinary + 1), 1) / SCALE,
		supply_score: startable_bookings === null ? null : halfEven((SCALE * (startable_bookings + 1)) / (startable_bookings + 1 + expected + 1), 1) / SCALE,
		// 1 - (high - low) / (high + low + 1), with one division, so that a half is a half.
		confidence: halfEven((SCALE * (2 * low + 1)) / (high + low + 1), 1) / SCALE,
		expected_bookings: halfEven(expected * 100, 1) / 100,
		finite,
	};
}

/** The forecast's horizon of so many minutes. */
export function horizonOf(forecast: Forecast, minutes: HorizonMinutes): Horizon {
	return forecast.horizons[minutes === 15 ? 0 : minutes === 30 ? 1 : 2];
}

/** Bookings that can start within the horizon; null without supply data. `share` = horizon / minutes per booking. */
function startable({ values, busy_drivers }: SupplyAndUsual, share: number): number | null {
	const available = values[featureIndex.available_drivers];
	if (available === null || available === undefined) return null;
	return (available + busyDrivers(available, values[featureIndex.driver_utilization], busy_drivers) * Math.min(1, share)) * Math.max(1, share);
}

function busyDrivers(available: number, utilization: number | null | undefined, counted: number | null | undefined): number {
	if (counted !== undefined) return counted ?? 0;
	// utilization = busy / (busy + available), and counts are whole. At 1 the count is lost: then busy is unknown, which counts as 0.
	return typeof utilization === 'number' && utilization < 1 ? Math.round((available * utilization) / (1 - utilization)) : 0;
}
