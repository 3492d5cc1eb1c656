import { Redis } from '@upstash/redis/cloudflare';
import { type MirroredFeatures, mirroredFeatures, mirroredWeek, mirrorKey, mirrorWeekKey, readMirrored } from '#schemas/feature-mirror.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import type { ShardEnvironment } from './environment.ts';

/** What the mirror has of a region. */
export interface Mirrored {
	features: MirroredFeatures | undefined;
	usual_week: number[] | undefined;
}

/** Whether this deployment has a mirror. */
export const hasMirror = ({ UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token }: ShardEnvironment): boolean => Boolean(url && token);

/**
 * Asks the mirror for these regions, with one question that takes 50 ms at most. What is there and is not what a feature worker writes counts as absent.
 * Undefined: not known. Never throws.
 */
export async function readFeatureMirror(regionIds: readonly string[], env: ShardEnvironment): Promise<Map<string, Mirrored> | undefined> {
	try {
		const redis = new Redis({
			url: env.UPSTASH_REDIS_REST_URL,
			token: env.UPSTASH_REDIS_REST_TOKEN,
			// A function: with a signal itself an aborted command resolves with null. Zero retries: `retry: false` would make two attempts.
			signal: () => AbortSignal.timeout(limits.redis_ms),
			retry: { retries: 0 },
			enableAutoPipelining: false,
			automaticDeserialization: false,
			enableTelemetry: false,
			readYourWrites: false,
		});
		const keys = regionIds.flatMap((id) => [mirrorKey(id), mirrorWeekKey(id)]);
		const values: unknown = await redis.mget(keys);
		if (!Array.isArray(values) || values.length !== keys.length) throw new Error('the answer is no list of as many values');
		const shards = Number(env.PARTITIONS);
		return new Map(
			regionIds.map((region_id, index) => {
				const features = readMirrored(mirroredFeatures, { text: values[2 * index], region_id });
				const week = readMirrored(mirroredWeek, { text: values[2 * index + 1], region_id });
				const own = features?.shard === partition(region_id, shards);
				return [region_id, { features: own ? features : undefined, usual_week: week?.usual_week }];
			}),
		);
	} catch (error) {
		const [cause = ''] = String(error).split(', command was:'); // the library's own words hold the whole command
		console.warn(JSON.stringify({ message: 'the mirror of features does not answer', error: cause.slice(0, limits.cause_chars_max) }));
		return undefined;
	}
}
