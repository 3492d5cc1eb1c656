import { expect, test } from 'vitest';
import { featureNames } from '#schemas/feature.ts';
import { limits } from '#schemas/limits.ts';
import { splitFrames } from './split-frames.ts';

const rows = (count: number, week?: number[]) =>
	Array.from({ length: count }, (_, i) => ({
		region_id: `r-${i}`,
		values: featureNames.map(() => 1 / 3),
		busy_drivers: null,
		...(week ? { usual_week: week } : {}),
	}));

test('splitFrames() keeps every region once, in order, within 200 regions and 200 KiB', () => {
	for (const given of [rows(0), rows(1), rows(200), rows(201), rows(1250), rows(500, Array(168).fill(1 / 3))]) {
		const portions = splitFrames(given);
		expect(portions.flat()).toEqual(given);
		expect(portions.length).toBeGreaterThan(0);
		for (const portion of portions) {
			expect(portion.length).toBeLessThanOrEqual(limits.frame_regions_max);
			expect(JSON.stringify(portion).length).toBeLessThanOrEqual(limits.frame_bytes_max);
		}
	}
});
