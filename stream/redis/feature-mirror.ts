import { FEATURE_SET } from '#schemas/feature.ts';
import { MIRROR_FORM, type MirroredFeatures, type MirroredWeek, mirrorKey, mirrorWeekKey } from '#schemas/feature-mirror.ts';
import type { Frame } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { pages } from './pages.ts';
import type { RedisClient } from './redis-client.ts';

/** What Shards were told, once more in Redis: from there a Shard that lost its memory has newer features than it stored, before the next whole push. */
export interface FeatureMirror {
	/** Takes frames that their Shards acknowledged. Returns at once, never throws: off the push's path. */
	put(frames: readonly Frame[]): void;
	/** `written`: features of a region; `lost`: those that Redis did not take, which the next whole push brings again. */
	readonly counts: { written: number; lost: number };
	/** Writes what waits, as far as that goes in one round, and ends. */
	close(): Promise<void>;
}

/** Entries are coalesced by region and written at most once in `flush_ms`, in pipelines of bounded size, one after another. */
export function openFeatureMirror(options: { redis: RedisClient; flush_ms?: number }): FeatureMirror {
	const { redis, flush_ms = limits.mirror_flush_ms } = options;
	const counts = { written: 0, lost: 0 };
	let features = new Map<string, MirroredFeatures>();
	let weeks = new Map<string, MirroredWeek>();
	let timer: NodeJS.Timeout | undefined;
	let flushing: Promise<void> | undefined;

	async function flush(): Promise<void> {
		const [rows, usuals] = [[...features.values()], [...weeks.values()]];
		features = new Map();
		weeks = new Map();
		for (const page of pages(rows, limits.mirror_flush_regions_max)) {
			const entries = page.map((row) => ({ key: mirrorKey(row.region_id), value: JSON.stringify(row), seconds: limits.mirror_seconds }));
			if (await redis.set(entries)) counts.written += page.length;
			else counts.lost += page.length;
		}
		// Weeks are longer by far, and rare.
		for (const page of pages(usuals, limits.mirror_ask_regions_max)) {
			const entries = page.map((week) => ({ key: mirrorWeekKey(week.region_id), value: JSON.stringify(week), seconds: limits.mirror_week_seconds }));
			if (await redis.set(entries)) continue;
			// A frame brings a week when it changes, not again with the next one.
			for (const week of page) if (!weeks.has(week.region_id)) weeks.set(week.region_id, week);
		}
	}
	function flushSoon(): void {
		if (timer || flushing) return;
		timer = setTimeout(() => {
			timer = undefined;
			flushing = flush().finally(() => {
				flushing = undefined;
				if (features.size > 0) flushSoon();
			});
		}, flush_ms);
		timer.unref();
	}

	return {
		counts,
		put(frames) {
			for (const { shard, epoch, seq, as_of, now, regions } of frames) {
				if (now !== null) continue; // a city's clock: its features are nobody's now
				for (const { region_id, values, busy_drivers, usual_week } of regions) {
					if (features.size >= limits.regions_max && !features.has(region_id)) continue; // no worker has so many
					features.set(region_id, { form: MIRROR_FORM, feature_set: FEATURE_SET, region_id, shard, epoch, seq, as_of, values, busy_drivers });
					if (usual_week) weeks.set(region_id, { form: MIRROR_FORM, region_id, usual_week });
				}
			}
			if (features.size > 0) flushSoon();
		},
		async close() {
			clearTimeout(timer);
			await flushing;
			clearTimeout(timer);
			await flush();
		},
	};
}
