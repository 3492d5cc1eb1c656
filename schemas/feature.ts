// Feature set v1: what each name means stands in docs/features.md and is computed in models/features.

export const FEATURE_SET = 'v1';

/** The vector's order. Names may be added in a new feature set only. */
export const featureNames = [
	'hour',
	'day_of_week',
	'is_weekend',
	'season',
	'is_holiday',
	'booking_count_1min',
	'booking_count_5min',
	'booking_count_15min',
	'booking_count_60min',
	'search_count_1min',
	'search_count_5min',
	'cancel_rate_1min',
	'usual_15min',
	'usual_30min',
	'usual_60min',
	'demand_trend',
	'ratio_15min',
	'ratio_60min',
	'ratio_24h',
	'ratio_24h_ago',
	'recent_bookings',
	'recent_usual',
	'rolling_avg_7d',
	'seasonality_score',
	'history_days',
	'available_drivers',
	'driver_utilization',
	'temperature_c',
	'precipitation_mm_h',
	'traffic_index',
	'active_events',
] as const;

export type FeatureName = (typeof featureNames)[number];

/** Values in the order of featureNames; null where nothing is known. */
export type FeatureVector = readonly (number | null)[];

/** Where a name stands in the vector. */
export const featureIndex = Object.fromEntries(featureNames.map((name, index) => [name, index])) as Record<FeatureName, number>;
