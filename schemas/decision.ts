import type { Attributes, PriceAnswer } from './price.ts';
import type { Snapshot } from './snapshot.ts';

/** The instant of a decision in its region's local time. */
export interface LocalTime {
	/** 0..23 */
	hour: number;
	/** 0 = Monday */
	day_of_week: number;
	/** YYYY-MM-DD */
	date: string;
}

export type Arm = 'champion' | 'canary';

/** Everything that `decide` reads beside the rule set. */
export interface DecisionInputs {
	request: {
		product_type: string;
		attributes: Attributes;
		/** 0..99 from the hash of the user's id; null without one. */
		bucket: number | null;
	};
	/** Milliseconds since 1970, by the deployment clock. */
	decided_at: number;
	at: LocalTime;
	snapshot: Snapshot;
	arm: Arm;
	experiment: string | null;
}

/** A decision on its way to the stores; its snapshot travels once a batch. */
export interface DecisionRecord {
	decision_id: string;
	region_id: string;
	decided_at: number;
	/** Which isolate decided, and its how-manieth: gaps show loss. */
	isolate: string;
	sequence: number;
	answer: PriceAnswer;
	inputs: Omit<DecisionInputs, 'snapshot' | 'decided_at'> & {
		snapshot_id: string;
		/** The client's word, milliseconds. */
		timestamp: number | null;
		user_hash: string | null;
		/** `pricingVersion` of models/pricing that decided. */
		pricing: number;
		rule_set_digest: string;
	};
}

/** What a price isolate hands to the Outbox and the Outbox to ingestion. `snapshots` has every one that the decisions name. */
export interface DecisionBatch {
	decisions: DecisionRecord[];
	snapshots: Snapshot[];
}
