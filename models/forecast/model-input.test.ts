import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FeatureName, featureIndex, featureNames } from '#schemas/feature.ts';
import { INTERVAL_CLASSES, type ModelManifest } from '#schemas/model-manifest.ts';
import { vector } from './golden.test-support.ts';
import { sizeClasses } from './interval.ts';
import { modelForecast } from './model-forecast.ts';
import { modelInput } from './model-input.ts';

const table = new Array<number>(sizeClasses).fill(1);
const manifest = {
	name: 'demand',
	version: 3,
	inputs: ['hour', 'usual_60min', 'recent_bookings'],
	domain: {
		history_days_min: 28,
		usual_60min: [0.05000000074505806, 1000],
		clip: { hour: [0, 23], recent_bookings: [2, 500.1] },
	},
	output_range: [0, 2000],
	intervals: { '15': table, '30': table, '60': table },
} satisfies Partial<ModelManifest>;
const usualDay = { hour: 8, history_days: 28, usual_60min: 60, recent_bookings: 20 };
const rowOf = (changes: Partial<Record<FeatureName, number>>) => modelInput(vector({ ...usualDay, ...changes }), manifest);
const without = (name: keyof typeof usualDay) => modelInput(vector(usualDay).with(featureIndex[name], null), manifest);

describe('modelInput()', () => {
	test('gives the inputs in the order of the manifest', () => {
		expect(rowOf({})).toEqual({ row: [8, 60, 20] });
	});

	test('clips to the ranges of the training, and rounds to float32', () => {
		expect(rowOf({ recent_bookings: 9999 })).toEqual({ row: [8, 60, Math.fround(500.1)] });
		expect(rowOf({ recent_bookings: 0 })).toEqual({ row: [8, 60, 2] });
		expect(rowOf({ usual_60min: 60.1 })).toEqual({ row: [8, Math.fround(60.1), 20] });
	});

	test('is out of domain for a young region', () => {
		expect(rowOf({ history_days: 27.99 })).toEqual({ out_of_domain: 'history_days 27.99, wanted are 28' });
	});

	test('is out of domain where the usual lies outside the training', () => {
		expect(rowOf({ usual_60min: 1000.1 })).toHaveProperty('out_of_domain');
		expect(rowOf({ usual_60min: 0.04 })).toHaveProperty('out_of_domain');
		expect(rowOf({ usual_60min: 0.05 })).toHaveProperty('row'); // the range's edge, before it was rounded to float32
	});

	test('is out of domain without an input', () => {
		expect(without('hour')).toEqual({ out_of_domain: 'hour is null' });
		expect(without('usual_60min')).toHaveProperty('out_of_domain');
		expect(rowOf({ recent_bookings: Number.NaN })).toHaveProperty('out_of_domain');
		expect(modelInput(vector({}), manifest)).toHaveProperty('out_of_domain');
	});

	test('never gives a value that is no float32 or lies outside its range, whatever the features', () => {
		const anything = fc.array(fc.option(fc.double(), { nil: null, freq: 20 }), { minLength: featureNames.length, maxLength: featureNames.length });
		fc.assert(
			fc.property(anything, fc.double({ min: 0.05, max: 1000, noNaN: true }), (drawn, usual) => {
				const values = [...drawn];
				values[featureIndex.history_days] = 28;
				values[featureIndex.usual_60min] = usual;
				const input = modelInput(values, manifest);
				if (!('row' in input)) return;
				expect(input.row).toHaveLength(manifest.inputs.length);
				manifest.inputs.forEach((name, i) => {
					const value = input.row[i]!;
					const [min, max] = (manifest.domain.clip as Partial<Record<FeatureName, number[]>>)[name] ?? manifest.domain.usual_60min;
					expect(Math.fround(value)).toBe(value);
					expect(value >= Math.fround(min!) && value <= Math.fround(max!)).toBe(true);
				});
			}),
			{ numRuns: 1000 },
		);
	});

	test('never falls in an input that grows', () => {
		fc.assert(
			fc.property(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), fc.double({ noNaN: true, min: 0, max: 1e6 }), (value, more) => {
				const of = (recent_bookings: number) => (rowOf({ recent_bookings }) as { row: number[] }).row[2]!;
				expect(of(value + more)).toBeGreaterThanOrEqual(of(value));
			}),
		);
	});
});

describe('modelForecast()', () => {
	test('has a number for every size class', () => {
		expect(INTERVAL_CLASSES).toBe(sizeClasses);
	});

	test('carries name@version and the intervals of the manifest', () => {
		const { forecast, clamped } = modelForecast([4, 9, 16], manifest);
		expect(clamped).toBe(false);
		expect(forecast.model).toBe('demand@3');
		expect(forecast.horizons[0]).toEqual({ minutes: 15, expected: 4, low: 1, high: 7 });
	});

	test.each([
		[
			[Number.NaN, 1, 2],
			[0, 1, 2],
		],
		[
			[1, -1, 2],
			[1, 1, 2],
		],
		[
			[1, 2, Number.POSITIVE_INFINITY],
			[1, 2, 2000],
		],
		[
			[Number.NEGATIVE_INFINITY, 0, 2000.1],
			[0, 0, 2000],
		],
	])('clamps %j and says so', (said, expected) => {
		const { forecast, clamped } = modelForecast(said as [number, number, number], manifest);
		expect(clamped).toBe(true);
		expect(forecast.horizons.map((horizon) => horizon.expected)).toEqual(expected);
	});

	test('is sound whatever the model says', () => {
		fc.assert(
			fc.property(fc.double(), fc.double(), fc.double(), (a, b, c) => {
				for (const { expected, low, high } of modelForecast([a, b, c], manifest).forecast.horizons) {
					expect(expected >= 0 && expected <= 2000).toBe(true);
					expect(low <= expected && expected <= high && Number.isInteger(low) && Number.isInteger(high)).toBe(true);
				}
			}),
		);
	});
});
