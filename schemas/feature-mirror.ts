// The online mirror of features in Redis: written by the feature worker, read by a Shard that lost its memory, and by nobody on a price's path.
import * as z from 'zod';
import { FEATURE_SET } from './feature.ts';
import { slug } from './identifier.ts';
import { featureVector } from './internal.ts';
import { limits } from './limits.ts';

/** Of another form nothing is read. */
export const MIRROR_FORM = 1;

export const mirrorKey = (regionId: string): string => `features:${regionId}`;
export const mirrorWeekKey = (regionId: string): string => `usual-week:${regionId}`;

/** A region's row of a frame that its Shard acknowledged, with the frame's pair and instant. */
export const mirroredFeatures = z.strictObject({
	form: z.literal(MIRROR_FORM),
	feature_set: z.literal(FEATURE_SET),
	region_id: slug,
	shard: z.int().nonnegative(),
	epoch: z.int().nonnegative(),
	seq: z.int().positive(),
	/** Milliseconds since 1970. */
	as_of: z.int().positive(),
	/** In the order of featureNames. */
	values: featureVector,
	busy_drivers: z.number().nonnegative().nullable(),
});
export type MirroredFeatures = z.output<typeof mirroredFeatures>;

/** The usual by hour of the local week, Monday 00:00 first, as a frame carries it. */
export const mirroredWeek = z.strictObject({
	form: z.literal(MIRROR_FORM),
	region_id: slug,
	usual_week: z.array(z.number().nonnegative()).length(limits.profile_hours),
});
export type MirroredWeek = z.output<typeof mirroredWeek>;

/** A value as Redis gave it, or undefined where it is not what was written there: another type, form or region, no JSON, far too long. Never throws. */
export function readMirrored<S extends typeof mirroredFeatures | typeof mirroredWeek>(
	schema: S,
	{ text, region_id }: { text: unknown; region_id: string },
): z.output<S> | undefined {
	if (typeof text !== 'string' || text.length > limits.redis_value_chars_max) return undefined;
	let json: unknown;
	try {
		json = JSON.parse(text);
	} catch {
		return undefined;
	}
	const parsed = schema.safeParse(json);
	return parsed.success && parsed.data.region_id === region_id ? (parsed.data as z.output<S>) : undefined;
}
