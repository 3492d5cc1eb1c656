import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { featureNames } from '#schemas/feature.ts';
import type { Forecast } from '#schemas/forecast.ts';
import { formatInstant } from '#schemas/instant.ts';
import { curve } from './curve.ts';
import { decimal } from './decimal.ts';
import { halfEven } from './half-even.ts';
import { minorUnits } from './minor-units.ts';
import { roundToStep } from './rounding.ts';
import { scores } from './scores.ts';
import { utc } from './utc.ts';

describe('decimal()', () => {
	it.each<[number, bigint, number]>([
		[4.2, 42n, 1],
		[0, 0n, 0],
		[-0.5, -5n, 1],
		[1e-7, 1n, 7],
		[1.5e-7, 15n, 8],
		[1e21, 10n ** 21n, 0],
		[1.5e22, 15n * 10n ** 21n, 0],
		[5e-324, 5n, 324],
	])('reads %d exactly', (value, units, scale) => expect(decimal(value)).toEqual({ units, scale }));

	it('is the number whose shortest text it reads', () => {
		fc.assert(
			fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
				const { units, scale } = decimal(value);
				expect(Number(`${units}e-${scale}`)).toBe(value + 0);
			}),
		);
	});
});

describe('halfEven()', () => {
	it('rounds ties to the even neighbour, on both sides of zero, and never gives -0', () => {
		expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 2.4999, -2.5001].map((value) => halfEven(value, 1))).toEqual([0, 2, 2, 0, -2, -2, 2, -3]);
		expect(Object.is(halfEven(-0.2, 1), 0)).toBe(true);
		expect([5, 15, 25, -25].map((value) => halfEven(value, 10))).toEqual([0, 2, 2, -2]);
	});
});

describe('roundToStep()', () => {
	it.each<[bigint, number, bigint, bigint, bigint, bigint, bigint]>([
		// units, scale, step -> up, down, half_up, half_even
		[1001n, 0, 5n, 1005n, 1000n, 1000n, 1000n],
		[10025n, 1, 5n, 1005n, 1000n, 1005n, 1000n],
		[10075n, 1, 5n, 1010n, 1005n, 1010n, 1010n],
		[1005n, 0, 5n, 1005n, 1005n, 1005n, 1005n],
		[-10025n, 1, 5n, -1000n, -1005n, -1000n, -1000n],
		[1n, 300, 5n, 5n, 0n, 0n, 0n],
	])('%d / 10^%d on steps of %d', (units, scale, step, up, down, half_up, half_even) => {
		const round = (mode: 'up' | 'down' | 'half_up' | 'half_even') => roundToStep({ units, scale }, { step, mode });
		expect([round('up'), round('down'), round('half_up'), round('half_even')]).toEqual([up, down, half_up, half_even]);
	});
});

describe('minorUnits()', () => {
	it('reads money by the digits of its currency', () => {
		expect([minorUnits('12.00', 2), minorUnits('12', 2), minorUnits('12.5', 3), minorUnits('-1.50', 2), minorUnits('999999999.999', 3)]).toEqual([
			1200, 1200, 12_500, -150, 999_999_999_999,
		]);
		expect([minorUnits('12.005', 2), minorUnits('12.0', 0)]).toEqual([null, null]);
		expect(Object.is(minorUnits('-0.00', 2), 0)).toBe(true);
	});
});

describe('curve()', () => {
	it('gives the value of a point at the point, on both paths of arithmetic', () => {
		for (const x of [0.5, 0.123456789012]) {
			const one = curve([
				[0, -0.1],
				[x, 0.5],
				[1, 0.9],
			]);
			expect([one.at(0), one.at(10_000)]).toEqual([-1000, 9000]);
		}
	});

	it('both paths of arithmetic agree', () => {
		const ys = fc.integer({ min: -1e7, max: 1e7 }).map((y) => y / 10_000);
		fc.assert(
			fc.property(fc.integer({ min: 1, max: 9999 }), fc.tuple(ys, ys, ys), fc.nat(10_000), (x, [a, b, c], score) => {
				const coarse = curve([
					[0, a],
					[x / 10_000, b],
					[1, c],
				]);
				// A point on the way from the first to the second, of many digits, changes nothing but the path. Flat there, so that it is exact.
				const near = (x / 10_000) * 0.1234567891;
				const level = curve([
					[0, b],
					[near, b],
					[x / 10_000, b],
					[1, c],
				]);
				const wanted = score >= x ? coarse.at(score) : Math.round(b * 10_000);
				expect(level.at(score)).toBe(wanted);
			}),
		);
	});

	it('stays between the values of its points', () => {
		fc.assert(
			fc.property(fc.double({ min: 0.001, max: 0.999, noNaN: true }), fc.nat(10_000), (x, score) => {
				const value = curve([
					[0, 0.2],
					[x, -0.3],
					[1, 0.4],
				]).at(score);
				expect(value >= -3000 && value <= 4000 && Number.isInteger(value)).toBe(true);
			}),
		);
	});
});

describe('scores()', () => {
	const forecast = (expected: number): Forecast => ({
		model: 'pulse',
		horizons: [
			{ minutes: 15, expected, low: 4, high: 14 },
			{ minutes: 30, expected, low: 0, high: 0 },
			{ minutes: 60, expected, low: 9, high: 9 },
		],
		out_of_domain: false,
	});
	const features = (named: Record<string, number | null>) => ({ values: featureNames.map((name) => named[name] ?? null) });
	const options = { horizon_minutes: 15 as const, minutes_per_booking: 20 };

	it('demand is exactly 0.5 when as much is expected as usual', () => {
		for (const bookings of [0, 0.05, 1, 7.3, 1e6]) expect(scores(features({ usual_15min: bookings }), forecast(bookings), options).demand_score).toBe(0.5);
	});

	it('counts busy drivers by the share of the horizon, from the ratio or from the count', () => {
		// s = 12 + 40 x 15/20 = 42; (42 + 1) / (42 + 1 + 9 + 1)
		const known = features({ usual_15min: 9, available_drivers: 12, driver_utilization: 40 / 52 });
		expect(scores(known, forecast(9), options).supply_score).toBe(0.8113);
		expect(scores({ ...known, busy_drivers: 40 }, forecast(9), options).supply_score).toBe(0.8113);
		expect(scores({ ...features({ usual_15min: 9, available_drivers: 0, driver_utilization: 1 }), busy_drivers: 40 }, forecast(9), options).supply_score).toBe(
			0.7561,
		);
	});

	it('tells supply from no supply data', () => {
		expect(scores(features({ available_drivers: null }), forecast(9), options).supply_score).toBeNull();
		expect(scores(features({ available_drivers: 0 }), forecast(9), options).supply_score).toBe(0.0909);
		expect(scores(null, forecast(9), options)).toEqual({ demand_score: 0.5, supply_score: null, confidence: 0.4737, expected_bookings: 9, finite: true });
	});

	it('confidence is 1 for an interval of nothing', () => {
		expect(scores(null, forecast(9), { ...options, horizon_minutes: 30 }).confidence).toBe(1);
		expect(scores(null, forecast(9), { ...options, horizon_minutes: 60 }).confidence).toBe(1);
	});

	it('clamps what is no sensible number, and tells', () => {
		const known = features({ usual_15min: 9 });
		expect(scores(known, forecast(Number.NaN), options)).toMatchObject({ demand_score: 0.5, expected_bookings: 9, finite: false });
		expect(scores(known, forecast(Number.POSITIVE_INFINITY), options)).toMatchObject({ demand_score: 1, expected_bookings: 1e9, finite: false });
		expect(scores(known, forecast(-1), options)).toMatchObject({ demand_score: 0.0909, expected_bookings: 0, finite: false });
		expect(scores(features({ usual_15min: Number.NaN }), forecast(9), options)).toMatchObject({ demand_score: 0.5, finite: false });
	});
});

describe('utc()', () => {
	it('writes what formatInstant() writes', () => {
		fc.assert(
			fc.property(
				fc.oneof(
					fc.integer({ min: -864e13, max: 864e13 }),
					fc.integer({ min: 0, max: 4e12 }),
					fc.integer({ min: 0, max: 40_000 }).map((day) => day * 86_400_000 - 1),
				),
				(at) => {
					expect(utc(at)).toBe(formatInstant(at));
				},
			),
			{ numRuns: 3000 },
		);
	});

	it('clamps what is no instant', () => {
		for (const at of [Number.NaN, Number.POSITIVE_INFINITY, -1e300, 2 ** 53]) expect(utc(at)).toMatch(/Z$/);
	});
});
