import type { LocalTime } from '#schemas/decision.ts';
import type { FeatureVector } from '#schemas/feature.ts';
import type { Attributes, PriceOutcome } from '#schemas/price.ts';
import type { SnapshotRegion } from '#schemas/snapshot.ts';

/** What a condition sees. Features are null where there are none or they are older than stale_seconds; so is the forecast in baseline and tariff. */
export interface ConditionContext {
	product_type: string;
	attributes: Attributes;
	/** 0..99, null without a user. */
	bucket: number | null;
	region: SnapshotRegion;
	features: FeatureVector | null;
	forecast: PriceOutcome['forecast'];
	at: LocalTime;
}
