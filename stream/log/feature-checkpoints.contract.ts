import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FeatureCheckpoints, Fenced } from '#schemas/feature-checkpoints.ts';

/** What every store of the feature worker's checkpoints promises. */
export function featureCheckpointsContract(name: string, open: () => Promise<{ checkpoints: FeatureCheckpoints; close(): Promise<void> }>): void {
	describe(`${name} as FeatureCheckpoints`, () => {
		let checkpoints: FeatureCheckpoints;
		let close: () => Promise<void>;
		beforeEach(async () => {
			({ checkpoints, close } = await open());
		});
		afterEach(() => close());

		const zero = { 'user-events': 0, 'supply-events': 0, 'external-events': 0 };
		const progress = { positions: zero, stamps: zero, as_of: 5, final_minute: 0, log_identity: 'a log', seeds: [1, -2] as [number, number] };
		const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
		const region = { region_id: 'r', recent: bytes, active: bytes.subarray(3, 9), days: [10, 11].map((day) => ({ day, counts: bytes })) };
		const body = (epoch: number) => ({
			epoch,
			anew: false,
			progress,
			regions: [region],
			ids: [4, 4, 7].map((bucket, index) => ({ bucket, hashes: bytes.subarray(index, index + 8) })),
			forgotten_buckets_below: 0,
			forgotten_days_below: 0,
		});
		const plain = (checkpoint: Awaited<ReturnType<FeatureCheckpoints['load']>>) =>
			checkpoint && {
				...checkpoint,
				regions: checkpoint.regions.map((one) => ({
					region_id: one.region_id,
					recent: [...one.recent],
					active: [...one.active],
					days: one.days.map(({ day, counts }) => ({ day, counts: [...counts] })).sort((a, b) => a.day - b.day),
				})),
				ids: checkpoint.ids.map(({ bucket, hashes }) => ({ bucket, hashes: [...hashes] })),
			};

		test('load() gives back what save() took, byte for byte, and nothing of another partition', async () => {
			const mine = await checkpoints.claim(1);
			expect(await checkpoints.load(1)).toBeUndefined();
			await checkpoints.save(1, body(mine));
			const { regions, ids } = body(mine);
			expect(plain(await checkpoints.load(1))).toEqual(plain({ progress, regions, ids }));
			expect(await checkpoints.load(0)).toBeUndefined();
		});

		test('save() adds what changed, and forgets what is too old', async () => {
			const mine = await checkpoints.claim(1);
			await checkpoints.save(1, body(mine));
			const changed = { ...region, recent: Uint8Array.of(9), days: [{ day: 12, counts: Uint8Array.of(1) }] };
			const more = { regions: [changed], ids: [{ bucket: 8, hashes: bytes.subarray(0, 8) }], progress: { ...progress, as_of: 6 } };
			await checkpoints.save(1, { ...body(mine), ...more, forgotten_buckets_below: 5, forgotten_days_below: 11 });
			const loaded = plain(await checkpoints.load(1))!;
			expect(loaded.progress.as_of).toBe(6);
			expect(loaded.ids.map(({ bucket }) => bucket)).toEqual([7, 8]);
			expect(loaded.regions).toMatchObject([{ recent: [9], days: [{ day: 11 }, { day: 12 }] }]);
		});

		test('save() anew leaves nothing of before', async () => {
			const mine = await checkpoints.claim(1);
			await checkpoints.save(1, body(mine));
			await checkpoints.save(1, { ...body(mine), anew: true, regions: [{ ...region, region_id: 's', days: [] }], ids: [] });
			expect(plain(await checkpoints.load(1))).toMatchObject({ regions: [{ region_id: 's', days: [] }], ids: [] });
		});

		test('an older epoch is Fenced, and changes nothing; raise() is for the owner alone (F4)', async () => {
			const mine = await checkpoints.claim(1);
			await checkpoints.save(1, body(mine));
			expect(await checkpoints.raise(1, { epoch: mine, above: 40 })).toBe(41);
			const theirs = await checkpoints.claim(1);
			expect(theirs).toBe(42);
			await expect(checkpoints.save(1, { ...body(41), anew: true, regions: [] })).rejects.toThrow(Fenced);
			expect(plain(await checkpoints.load(1))!.regions).toHaveLength(1);
			// A zombie that a Shard refused must not climb above the owner.
			await expect(checkpoints.raise(1, { epoch: 41, above: 42 })).rejects.toThrow(Fenced);
			await checkpoints.save(1, body(theirs));
		});

		test('claim() of many at once gives each an epoch of its own', async () => {
			const epochs = await Promise.all(Array.from({ length: 8 }, () => checkpoints.claim(2)));
			expect([...epochs].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
		});
	});
}
