import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Forecast } from '#schemas/forecast.ts';
import { features } from '../features/features.ts';
import { advance, fold } from '../features/fold.ts';
import { arrive, scene, user } from '../features/scenes.test-support.ts';
import { hasEvents } from '../features/window.ts';
import { forecastOf } from './forecast.ts';
import intervals from './golden/intervals.json' with { type: 'json' };
import pulses from './golden/pulse.json' with { type: 'json' };
import usuals from './golden/usual.json' with { type: 'json' };
import { vector } from './golden.test-support.ts';
import { interval, sizeClasses } from './interval.ts';
import { pulse } from './pulse.ts';
import { pulseTables, usualTables } from './tables.ts';
import { usualAt, usualForecast } from './usual.ts';

const HOUR = 3_600_000;
const anyNumber = fc.oneof(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.double());
const table = fc.array(fc.double({ min: 0, max: 10, noNaN: true }), { minLength: sizeClasses, maxLength: sizeClasses });

function expectSound({ horizons }: Forecast): void {
	horizons.forEach(({ expected, low, high }, i) => {
		expect([expected, low, high].every(Number.isFinite)).toBe(true);
		expect(Number.isInteger(low) && Number.isInteger(high)).toBe(true);
		expect(0 <= low && low <= expected && expected <= high).toBe(true);
		const before = horizons[i - 1] ?? { expected: 0, low: 0, high: 0 };
		expect(expected >= before.expected && low >= before.low && high >= before.high).toBe(true);
	});
}

describe('forecastOf()', () => {
	test('is sound whatever the model says', () => {
		fc.assert(
			fc.property(anyNumber, anyNumber, anyNumber, table, table, table, (a, b, c, ta, tb, tc) => {
				expectSound(forecastOf({ model: 'm@1', expected: [a, b, c], tables: [ta, tb, tc] }));
			}),
			{ numRuns: 1000 },
		);
	});
});

describe('interval()', () => {
	test.each(intervals)('of $expected with half width $quantile', ({ expected, quantile, low, high }) => {
		expect(interval(new Array(sizeClasses).fill(quantile), expected)).toEqual({ low, high });
	});

	test('takes the half width of its size class', () => {
		const classes = Array.from({ length: sizeClasses }, (_, i) => i);
		expect([0.29, 0.3, 1, 3, 10, 30, 100, 200, 400].map((y) => interval(classes, y).high)).toEqual([1, 1, 4, 9, 24, 60, 177, 350, 702]);
	});

	test('refuses a table that lacks the class', () => {
		expect(() => interval([1, 1], 50)).toThrow('it wants 9 numbers');
	});
});

describe('tables', () => {
	test('have a number for every size class and horizon', () => {
		for (const rows of [pulseTables, usualTables]) for (const row of rows) expect(row.filter((q) => q > 0 && q < 10)).toHaveLength(sizeClasses);
	});
});

describe('pulse()', () => {
	test.each(pulses)('$name', ({ features: known, expected }) => {
		expect(pulse(vector(known)).horizons.map((horizon) => horizon.expected)).toEqual(expected.map((value) => expect.closeTo(value, 6)));
	});

	test('is the usual where bookings are as usual', () => {
		fc.assert(
			fc.property(fc.double({ min: 0.001, max: 1e5, noNaN: true }), fc.double({ min: 0.0125, max: 1e5, noNaN: true }), (recent, usual) => {
				const known = { usual_15min: usual, usual_30min: 2 * usual, usual_60min: 4 * usual };
				const { horizons } = pulse(vector({ ...known, recent_bookings: recent, recent_usual: recent }));
				expect(horizons.map(({ expected }) => expected)).toEqual([usual, 2 * usual, 4 * usual]);
			}),
		);
	});

	test('never falls when recent_bookings grow', () => {
		const size = fc.double({ min: 0, max: 1e5, noNaN: true });
		fc.assert(
			fc.property(size, size, fc.double({ min: 0.001, max: 1e5, noNaN: true }), (a, b, recent_usual) => {
				const of = (recent_bookings: number) =>
					pulse(vector({ usual_15min: 1, usual_30min: 2, usual_60min: 4, recent_bookings, recent_usual })).horizons[2].expected;
				expect(of(Math.max(a, b))).toBeGreaterThanOrEqual(of(Math.min(a, b)));
			}),
			{ numRuns: 2000 },
		);
	});

	test('never falls by one more booking of the last minutes', () => {
		fc.assert(
			fc.property(scene, fc.integer({ min: 1, max: 5 * 60_000 }), (one, ago) => {
				const window = arrive(one, 7);
				if (!hasEvents(window)) return;
				const before = pulse(features(window, one.region, one.now));
				fold(window, user('booking', one.now - ago, 'one more'));
				const after = pulse(features(window, one.region, one.now));
				after.horizons.forEach(({ expected }, i) => {
					expect(expected).toBeGreaterThanOrEqual(before.horizons[i]!.expected * (1 - 1e-12));
				});
			}),
			{ numRuns: 300 },
		);
	});

	test('is sound for every region', () => {
		fc.assert(
			fc.property(scene, (one) => {
				const window = arrive(one, 1);
				advance(window, one.now + 1);
				expectSound(pulse(features(window, one.region, one.now + 1)));
			}),
			{ numRuns: 200 },
		);
		expectSound(pulse(vector({})));
		fc.assert(
			fc.property(anyNumber, anyNumber, anyNumber, (recent_bookings, recent_usual, usual_60min) => {
				expectSound(pulse(vector({ recent_bookings, recent_usual, usual_60min })));
			}),
		);
	});
});

describe('usualAt()', () => {
	test.each(usuals)('$name', ({ at, time_zone, base, step, expected }) => {
		const week = Array.from({ length: 168 }, (_, hour) => base + step * hour);
		expect(Object.values(usualAt({ week, at: Date.parse(at), time_zone }))).toEqual(expected.map((value) => expect.closeTo(value, 6)));
	});
});

describe('usualForecast()', () => {
	test('is the usual itself, with the model "usual"', () => {
		const forecast = usualForecast(usualAt({ week: new Array(168).fill(60), at: 1.5 * HOUR, time_zone: 'UTC' }));
		expect(forecast.model).toBe('usual');
		expect(forecast.out_of_domain).toBe(false);
		expect(forecast.horizons.map(({ minutes, expected }) => [minutes, expected])).toEqual([
			[15, 15],
			[30, 30],
			[60, 60],
		]);
		expectSound(forecast);
	});
});
