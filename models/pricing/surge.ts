import { halfEven } from './half-even.ts';

/** A named part of a multiplier, in 1/10000. */
export type Factor = [kind: string, part: number];

/** The multiplier of a price on its way: terms add up, clamps and the shrink keep their difference. All in 1/10000. */
export interface Surge {
	multiplier: number;
	factors: Factor[];
	/** Differences made by clamps: cap <= 0 <= floor. */
	cap: number;
	floor: number;
	/** What age took, <= 0. */
	stale: number;
}

/** x1. */
export const calm = (): Surge => ({ multiplier: 10_000, factors: [], cap: 0, floor: 0, stale: 0 });

export function addTerm(surge: Surge, kind: string, part: number): void {
	surge.multiplier += part;
	if (part !== 0) surge.factors.push([kind, part]);
}

/** Lowers the multiplier to `at`; whether it had to. */
export function capAt(surge: Surge, at: number): boolean {
	if (surge.multiplier <= at) return false;
	surge.cap += at - surge.multiplier;
	surge.multiplier = at;
	return true;
}

/** Raises the multiplier to `at`; whether it had to. */
export function floorAt(surge: Surge, at: number): boolean {
	if (surge.multiplier >= at) return false;
	surge.floor += at - surge.multiplier;
	surge.multiplier = at;
	return true;
}

/** The part above 1 shrinks linearly with age, from all of it at fresh_ms to nothing at stale_ms, half-even to 1/10000. */
export function shrink(surge: Surge, { age_ms, fresh_ms, stale_ms }: { age_ms: number; fresh_ms: number; stale_ms: number }): void {
	const above = surge.multiplier - 10_000;
	if (above <= 0) return;
	// At most 1e7 x 2.6e9: beyond 2^53, so in BigInt when it must be.
	const left = stale_ms - age_ms;
	const span = stale_ms - fresh_ms;
	const kept = above * left <= Number.MAX_SAFE_INTEGER ? halfEven(above * left, span) : halfEvenExactly(BigInt(above) * BigInt(left), BigInt(span));
	surge.stale = kept - above;
	surge.multiplier = 10_000 + kept;
}

function halfEvenExactly(value: bigint, divisor: bigint): number {
	const low = value / divisor;
	const twice = (value % divisor) * 2n;
	return Number(twice > divisor || (twice === divisor && low % 2n !== 0n) ? low + 1n : low);
}

/** All factors that are not zero, in the order of the steps. */
export function allFactors({ factors, cap, floor, stale }: Surge): Factor[] {
	const all = factors.slice();
	if (cap !== 0) all.push(['cap', cap]);
	if (floor !== 0) all.push(['floor', floor]);
	if (stale !== 0) all.push(['stale', stale]);
	return all;
}
