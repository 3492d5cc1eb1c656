// The edge's /internal door, role service. Bodies come from our own processes, but are parsed all the same.
import * as z from 'zod';
import { type FeatureVector, featureNames } from './feature.ts';
import { slug } from './identifier.ts';
import { region } from './region.ts';
import { type ClientKeys, digest, releasePointer } from './release.ts';
import type { Snapshot } from './snapshot.ts';

/** Under --replay the clock is the city's and travels with the frames. Milliseconds since 1970; null on the wall clock. */
export const virtualNow = z.int().nullable();

/** A loop of its own: a frame carries thousands of numbers, and an object of the schema library for each costs more than all the rest. */
export const featureVector = z.custom<FeatureVector>(
	(values) => Array.isArray(values) && values.length === featureNames.length && values.every((value) => value === null || Number.isFinite(value)),
	`must be ${featureNames.length} numbers or nulls`,
);

export const frame = z.strictObject({
	shard: z.int().nonnegative(),
	epoch: z.int().nonnegative(),
	seq: z.int().positive(),
	/** The instant up to which the worker has folded the partition, milliseconds. */
	as_of: z.int(),
	now: virtualNow,
	/** With this frame the Shard has every region of the partition as of now (a set of frames says so in its last). */
	whole: z.boolean(),
	regions: z.array(
		z.strictObject({
			region_id: slug,
			values: featureVector,
			/** What the vector has only as a ratio. */
			busy_drivers: z.number().nullable(),
			/** The usual by hour of the local week, Monday 00:00 first; sent when it changed. */
			usual_week: z.array(z.number()).length(168).optional(),
		}),
	),
});
export type Frame = z.output<typeof frame>;

/** POST /internal/frames. Frames of one partition are sent one after another. */
export const framesRequest = z.strictObject({ frames: z.array(frame) });
export interface FrameAnswer {
	shard: number;
	taken: boolean;
	/** The pair that the Shard holds now. */
	epoch: number;
	seq: number;
	/** The Shard lost its memory: it wants a whole frame soon. */
	whole_wanted: boolean;
	/** Regions of the frame that have no catalogue entry there. */
	unknown: string[];
	error?: string;
}

/** POST /internal/releases: to every shard, or to those named. */
export const releasesRequest = z.strictObject({
	pointer: releasePointer,
	/** Rule set documents (JSON text) by digest. */
	bodies: z.record(digest, z.string()),
	shards: z.array(z.int().nonnegative()).optional(),
});
export interface ReleasesAnswer {
	acknowledged: { shard: number; release: number }[];
	failed: { shard: number; error: string }[];
}

/** POST /internal/entries: all of one shard. */
export const entriesRequest = z.strictObject({ shard: z.int().nonnegative(), entries: z.array(region) });

/** POST /internal/models: runs a model that is in no release, once with all rows and once row by row. */
export const tryModelRequest = z.strictObject({
	/** The ONNX file, base64. */
	model: z.base64(),
	rows: z.array(z.array(z.number())).min(1).max(200),
});
export type TryModelRequest = z.output<typeof tryModelRequest>;
/** Outputs by name, one number a row; null stands for a number that JSON does not have. `error`: why it does not run. */
export const tryModelAnswer = z.union([
	z.strictObject({ outputs: z.record(z.string(), z.strictObject({ batch: z.array(z.number().nullable()), single: z.array(z.number().nullable()) })) }),
	z.strictObject({ error: z.string() }),
]);
export type TryModelAnswer = z.output<typeof tryModelAnswer>;

/** GET /internal/shards/{n}: what the reconciler compares. */
export interface ShardState {
	shard: number;
	release: number | null;
	keys_version: number | null;
	/** Entry versions by region id. */
	entries: Record<string, number>;
	epoch: number;
	seq: number;
	as_of: number | null;
}

/** GET /internal/features/{region_id}; 404 unknown_region when the Shard has no entry. */
export interface RegionFeatures {
	region_id: string;
	version: number | null;
	as_of: number | null;
	now: number;
	values: FeatureVector | null;
}

/** The models open in a Shard, as `name@version`, and what is wrong with those that are not. */
export interface ShardModels {
	champion: string | null;
	canary: string | null;
	shadows: string[];
	trouble: string | null;
	/** Outputs that left their declared range, in this life of the object. */
	clamped: number;
}

/** What a price isolate asks its Shard: the regions it cares for with the snapshot it holds of each, and the rule set bodies it has compiled. */
export interface RefreshQuestion {
	regions: [region_id: string, snapshot_id: string | null][];
	bodies: string[];
	/** keys.version held, null for none. */
	keys: number | null;
}

/** The Shard's answer, as JSON text over RPC. */
export interface RefreshAnswer {
	release: number | null;
	/** When it differs from what the isolate holds. */
	pointer_keys?: ClientKeys;
	/** Snapshots that differ from those held. */
	snapshots: Snapshot[];
	/** Rule set documents by digest that the snapshots name and the isolate lacks. */
	bodies: Record<string, string>;
	/** Regions without a catalogue entry. */
	unknown: string[];
	soft_ms: number;
	hard_ms: number;
	/** The city's clock under --replay, else null. */
	now: number | null;
	/** Of the last frame taken; null before any. */
	as_of: number | null;
	models: ShardModels;
}
