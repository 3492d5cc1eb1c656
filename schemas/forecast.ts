export const horizonMinutes = [15, 30, 60] as const;
export type HorizonMinutes = (typeof horizonMinutes)[number];

/** Expected bookings of the coming minutes, with the 80 % interval in whole bookings. */
export interface Horizon {
	minutes: HorizonMinutes;
	expected: number;
	low: number;
	high: number;
}

/** What one model expects of a region. `model` is `name@version`, `pulse` or `usual`. */
export interface Forecast {
	model: string;
	/** In the order of horizonMinutes. */
	horizons: readonly [Horizon, Horizon, Horizon];
	/** The release's model does not know a region like this, so `pulse` stood in. */
	out_of_domain: boolean;
}

/** The built-in forecasts: they have no file. */
export const builtInModels = ['pulse', 'usual'] as const;
