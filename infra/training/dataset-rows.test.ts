import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { featureNames } from '#schemas/feature.ts';
import { HOUR_MS, QUARTER_MS, seededHours, walkZone } from '../sample/walk-zone.ts';
import { ZONE_HOURS_TIME_ZONE } from '../sample/zone-hours.ts';
import { datasetColumns, datasetRow, datasetWidth } from './dataset-rows.ts';

const begin = Date.parse('2015-02-02T05:00:00Z'); // midnight in New York
const DAYS = 9;
const end = begin + DAYS * 24 * HOUR_MS;
const region = { time_zone: ZONE_HOURS_TIME_ZONE, profile: null, holiday_dates: [] };
/** A zone with a day's shape and a little more each day. */
const hours = new Map(Array.from({ length: DAYS * 24 }, (_, hour) => [begin + hour * HOUR_MS, (hour % 24) + Math.floor(hour / 24)]));
const ROW_END = 2 + featureNames.length;

function rowsOf(planted: readonly number[] = []): Float32Array[] {
	const rows: Float32Array[] = [];
	walkZone({ hours, begin, end, randomOf: seededHours('Manhattan,Midtown Center', 1), planted }, (step) => {
		const into = new Float32Array(datasetWidth);
		if (datasetRow(step, region, { zone: 7, into, offset: 0 })) rows.push(into);
	});
	return rows;
}
const of = (row: Float32Array, name: string) => row[(datasetColumns as readonly string[]).indexOf(name)]!;

describe('datasetRow()', () => {
	const plain = rowsOf();

	test('never changes by what happens at or after its instant', () => {
		fc.assert(
			fc.property(fc.integer({ min: 8 * 24 * HOUR_MS, max: DAYS * 24 * HOUR_MS - 1 }), fc.integer({ min: 1, max: 50 }), (after, count) => {
				const at = begin + after;
				const changed = rowsOf(new Array<number>(count).fill(at));
				expect(changed).toHaveLength(plain.length);
				let later = 0;
				changed.forEach((row, index) => {
					const { length } = row;
					expect(length).toBe(datasetWidth);
					if (of(row, 'quarter') * QUARTER_MS <= at) expect(row.subarray(0, ROW_END)).toEqual(plain[index]!.subarray(0, ROW_END));
					else if (of(row, 'booking_count_15min') !== of(plain[index]!, 'booking_count_15min')) later++;
				});
				// It was planted: the quarter-hour after it sees it.
				if (at < end - QUARTER_MS) expect(later).toBeGreaterThan(0);
			}),
			{ numRuns: 25 },
		);
	});

	test('has the coming bookings as label, and their ratio to the usual', () => {
		const row = plain.at(-8)!;
		const at = of(row, 'quarter') * QUARTER_MS;
		const planted = rowsOf([at, at + 2 * QUARTER_MS - 1, at + HOUR_MS - 1, at + HOUR_MS]).find((other) => of(other, 'quarter') === of(row, 'quarter'))!;
		expect([15, 30, 60].map((minutes) => of(planted, `bookings_${minutes}min`) - of(row, `bookings_${minutes}min`))).toEqual([1, 2, 3]);
		for (const minutes of [15, 30, 60])
			expect(of(row, `times_usual_${minutes}min`)).toBeCloseTo(of(row, `bookings_${minutes}min`) / of(row, `usual_${minutes}min`), 4);
		expect(of(row, 'zone')).toBe(7);
	});

	test('sums the whole hours to the counts', () => {
		for (const row of plain) {
			const at = of(row, 'quarter') * QUARTER_MS;
			if (at % HOUR_MS === 0) expect(of(row, 'bookings_60min')).toBe(hours.get(at));
			if (at % HOUR_MS === 0 && at > begin + HOUR_MS) expect(of(row, 'booking_count_60min')).toBe(hours.get(at - HOUR_MS));
		}
	});

	test('is the same wherever a walk begins, as far as the windows reach back', () => {
		const times = seededHours('Queens,Astoria', 1);
		const drawn = Array.from({ length: 3 }, times(begin + 5 * HOUR_MS));
		times(begin);
		expect(Array.from({ length: 3 }, times(begin + 5 * HOUR_MS))).toEqual(drawn);
		expect(Array.from({ length: 3 }, seededHours('Queens,Astoria', 2)(begin + 5 * HOUR_MS))).not.toEqual(drawn);
	});
});
