import type { FeatureVector } from '#schemas/feature.ts';
import type { Forecast } from '#schemas/forecast.ts';

/** By arm. */
export interface Forecasts {
	champion: Forecast;
	canary: Forecast | null;
}

/** The features of a region as a Shard holds them, and what the models in force say of them. */
export interface HeldFeatures {
	/** epoch x 2^32 + sequence of the frame that brought them. */
	version: number;
	/** Milliseconds since 1970. */
	as_of: number;
	values: FeatureVector;
	busy_drivers: number | null;
	forecasts: Forecasts;
}
