import { decimal, tenTo } from './decimal.ts';
import { halfEven } from './half-even.ts';

/** x up to 10^-8 keeps every product below 2^53: |y| <= 1e7, dx <= 1e8, so |y * dx + x * dy| <= 3e15. */
const NUMBER_SCALE_MAX = 8;
const SCORE_SCALE = 4;

/** A piecewise linear curve; `at` takes a score in 1/10000 (0..10000) and gives a multiplier in 1/10000, rounded half-even. */
export interface Curve {
	at(score: number): number;
}

/** Compiles the points [x, y] of a rule set: x strictly growing from 0 to 1, y with up to 4 decimals. Exact integer arithmetic throughout. */
export function curve(points: readonly (readonly [number, number])[]): Curve {
	const exact = points.map(([x]) => decimal(x));
	const scale = Math.max(SCORE_SCALE, ...exact.map((x) => x.scale));
	const xs = exact.map((x) => x.units * tenTo(scale - x.scale));
	const ys = points.map(([, y]) => Math.round(y * 10_000));
	return scale <= NUMBER_SCALE_MAX ? coarse(xs.map(Number), ys, Number(tenTo(scale - SCORE_SCALE))) : fine(xs, ys.map(BigInt), tenTo(scale - SCORE_SCALE));
}

function coarse(xs: readonly number[], ys: readonly number[], unit: number): Curve {
	return {
		at(score) {
			const x = score * unit;
			let right = 1;
			while (xs[right]! < x) right++;
			const [x0, y0] = [xs[right - 1]!, ys[right - 1]!];
			const dx = xs[right]! - x0;
			return halfEven(y0 * dx + (x - x0) * (ys[right]! - y0), dx);
		},
	};
}

/** The same for an x of many digits (1/3 as 0.3333333333333333). */
function fine(xs: readonly bigint[], ys: readonly bigint[], unit: bigint): Curve {
	return {
		at(score) {
			const x = BigInt(score) * unit;
			let right = 1;
			while (xs[right]! < x) right++;
			const [x0, y0] = [xs[right - 1]!, ys[right - 1]!];
			const dx = xs[right]! - x0;
			const value = y0 * dx + (x - x0) * (ys[right]! - y0);
			const rest = value % dx;
			const low = value / dx;
			const twice = (rest < 0n ? -rest : rest) * 2n;
			const away = twice > dx || (twice === dx && low % 2n !== 0n);
			return Number(away ? low + (rest < 0n ? -1n : 1n) : low);
		},
	};
}
