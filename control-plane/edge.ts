import type * as z from 'zod';
import type { RegionFeatures, ReleasesAnswer, releasesRequest, ShardState, TryModelAnswer, TryModelRequest } from '#schemas/internal.ts';
import type { Region } from '#schemas/region.ts';

export type ReleasesRequest = z.input<typeof releasesRequest>;

/**
 * The edge as the control plane sees it. Every call ends within a deadline and throws `UnavailableError` when the edge, or the shard that it is about,
 * does not answer; then it may have been applied or not, so every call may be made again.
 */
export interface Edge {
	/** Pushes a release to every shard, or to those named. Shards that refused or did not answer are in `failed`. */
	pushRelease(request: ReleasesRequest): Promise<ReleasesAnswer>;
	/** Entries of one shard; older ones than it holds change nothing there. */
	pushEntries(request: { shard: number; entries: readonly Region[] }): Promise<void>;
	shardState(shard: number): Promise<ShardState>;
	/** Null when the region's shard has no entry for it. */
	regionFeatures(regionId: string): Promise<RegionFeatures | null>;
	/** Writes a value of KV. */
	putBody(key: string, text: string): Promise<void>;
	/** Null when KV has no such key. */
	getBody(key: string): Promise<string | null>;
	putBytes(key: string, bytes: Uint8Array): Promise<void>;
	getBytes(key: string): Promise<Uint8Array | null>;
	/** Runs a model in the edge's own runtime, once with all rows and once with each. */
	tryModel(request: TryModelRequest): Promise<TryModelAnswer>;
}
