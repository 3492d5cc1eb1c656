// What a feature worker hands to the mirror: the frames that their Shards acknowledged, and no others.
import { expect, test } from 'vitest';
import type { Frame } from '#schemas/internal.ts';
import { wallClock } from '../clock.ts';
import { openFeatureWorker } from '../features/feature-worker.ts';
import { booking, fakeCatalogue, fakeEdge, freshLog, LATENESS_MS, recordOf, until } from '../features/river.test-support.ts';

test('openFeatureWorker() gives the mirror what Shards took: nothing while the edge is away or refuses', async () => {
	const river = freshLog();
	const edge = fakeEdge();
	const mirrored: Frame[] = [];
	edge.down = true;
	edge.next = ['down', 'error', 'drop'];
	const worker = await openFeatureWorker({
		log: river.log,
		checkpoints: river.log.checkpoints,
		catalogue: fakeCatalogue(['r-0']),
		clock: wallClock,
		edge,
		mirror: { put: (frames) => void mirrored.push(...frames) },
		lateness_ms: LATENESS_MS,
		push_interval_ms: 5,
	});
	await river.log.append([recordOf(booking('e', Date.now()))]);
	worker.start();
	await until('a failed push', () => worker.counts.push_failures > 0);
	expect(mirrored).toEqual([]);
	edge.down = false;
	await until('the region is mirrored', () => mirrored.some(({ regions }) => regions.some(({ region_id }) => region_id === 'r-0')));
	const taken = new Set(edge.frames.map(({ epoch, seq }) => `${epoch}/${seq}`));
	expect(mirrored.every(({ epoch, seq }) => taken.has(`${epoch}/${seq}`))).toBe(true);
	expect(mirrored.length).toBeLessThan(worker.counts.pushes);
	await worker.stop();
	await river.log.close();
	river.remove();
});
