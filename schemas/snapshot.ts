import type { FeatureVector } from './feature.ts';
import type { Forecast } from './forecast.ts';
import type { Region } from './region.ts';
import type { RuleSetReference } from './release.ts';

/** The catalogue fields that `decide` and its conditions read. */
export type SnapshotRegion = Pick<Region, 'region_id' | 'name' | 'time_zone' | 'rule_set' | 'location_hint' | 'minutes_per_booking' | 'frozen' | 'version'>;

/** Everything that `decide` reads of a region, as a Shard built it: immutable, and named in decisions by its id. Plain data. */
export interface Snapshot {
	snapshot_id: string;
	region: SnapshotRegion;
	release: number;
	rule_set: RuleSetReference;
	features: {
		/** epoch x 2^32 + sequence of the frame that brought them. */
		version: number;
		/** Milliseconds since 1970. */
		as_of: number;
		values: FeatureVector;
		/** The count behind driver_utilization, which cannot tell it when nobody is available. */
		busy_drivers?: number | null;
	} | null;
	/** Forecasts from these features, by arm; the canary's share of users in percent. Null without features. */
	forecasts: { champion: Forecast; canary: Forecast | null; canary_percent?: number } | null;
	/** What is usual now: stands in where features are missing or too old. Null when nothing is known of the region's past. */
	usual: Forecast | null;
}
