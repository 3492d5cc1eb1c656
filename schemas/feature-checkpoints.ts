import type { EventTopic } from './topic.ts';

/** How far a partition's folding has come. */
export interface FeatureProgress {
	/** Next offset wanted of each event topic. */
	positions: Record<EventTopic, number>;
	/** Greatest ingested_at read of each. */
	stamps: Record<EventTopic, number>;
	as_of: number;
	/** The last minute whose finals are in the log, milliseconds; 0 before any. */
	final_minute: number;
	/** Log that the positions are of. */
	log_identity: string;
	/** Seeds of the event id hashes, drawn once, so that nobody can choose ids that collide. */
	seeds: [number, number];
}

export interface RegionState {
	region_id: string;
	recent: Uint8Array;
	/** ActiveMinutes.bytes() of the region. */
	active: Uint8Array;
	/** In save: those changed since the last save. In load: all. */
	days: { day: number; counts: Uint8Array }[];
}

export interface FeatureCheckpoint {
	progress: FeatureProgress;
	regions: RegionState[];
	ids: { bucket: number; hashes: Uint8Array }[];
}

/** Another owner has the partition by now: stop, whatever was computed is void. */
export class Fenced extends Error {}

/** State and position of the feature worker, together in one transaction, fenced by the epoch. */
export interface FeatureCheckpoints {
	/** Becomes the owner: raises the epoch and returns it. Frames and saves of lower epochs are refused from now on. */
	claim(partition: number): Promise<number>;
	/**
	 * Raises the epoch of its owner above one that a Shard holds (a store restored from a backup).
	 * @throws Fenced when `epoch` is not the owner's any more: then the Shard is right.
	 */
	raise(partition: number, options: { epoch: number; above: number }): Promise<number>;
	/** The epoch that owns it now; 0 before any. */
	owner(partition: number): Promise<number>;
	load(partition: number): Promise<FeatureCheckpoint | undefined>;
	/**
	 * What changed since the last save; `anew`: the fold began again, and nothing that was saved before counts any more.
	 * @throws Fenced
	 */
	save(
		partition: number,
		checkpoint: FeatureCheckpoint & { epoch: number; anew: boolean; forgotten_buckets_below: number; forgotten_days_below: number },
	): Promise<void>;
}
