import { limits } from '#schemas/limits.ts';
import type { PriceOutcome } from '#schemas/price.ts';
import type { RoundingMode } from '#schemas/rule-set.ts';
import type { PriceAction, Tariff } from './compile-rule-set.ts';
import { type Decimal, decimal, tenTo } from './decimal.ts';
import { roundToStep } from './rounding.ts';
import type { Factor } from './surge.ts';

export interface Bill {
	amount_minor: number;
	lines: PriceOutcome['lines'];
	/** The price was raised to the minimum. */
	minimum: boolean;
	/** Some amount had to be kept within limits.amount_minor_max. */
	bounded: boolean;
}

const MULTIPLIER_SCALE = 4;
const ONE = 10_000n;
const MAX = limits.amount_minor_max;
const MOST = BigInt(MAX);

/**
 * The price of base + distance under a multiplier (1/10000, made of `factors`): price actions on the exact running price in their order, then the
 * minimum, then one rounding. Each line is cut toward zero to the minor unit, `rounding` closes the sum; lines of zero are left out.
 */
export function bill(
	{ tariff, distance_km }: { tariff: Tariff; distance_km: number },
	{ multiplier, factors }: { multiplier: number; factors: readonly Factor[] },
	{ actions, step, mode }: { actions: readonly PriceAction[]; step: number; mode: RoundingMode },
): Bill {
	const lines: Bill['lines'] = [];
	let sum = 0;
	let bounded = false;
	/** The running sum stays within the bounds, so that every line and every partial sum is an exact number. */
	const line = (kind: string, amount: number): void => {
		const kept = Math.min(Math.max(amount, -MAX - sum), MAX - sum);
		if (kept !== amount) bounded = true;
		if (kept === 0) return;
		lines.push({ kind, amount_minor: kept });
		sum += kept;
	};
	const bound = (price: Decimal): Decimal => {
		const most = mostAt(price.scale);
		if (price.units <= most && (price.units >= 0n || price.units >= -most)) return price;
		bounded = true;
		return { units: price.units > 0n ? most : -most, scale: price.scale };
	};

	const distance = distanceMoney(tariff, distance_km);
	line('base', tariff.base);
	line('distance', cut(distance));
	const whole: Decimal = { units: BigInt(tariff.base) * tenTo(distance.scale) + distance.units, scale: distance.scale };
	const cutPart = partCutter(whole);
	for (const [kind, part] of factors) line(kind, cutPart(part));

	let running = bound({ units: whole.units * BigInt(multiplier), scale: whole.scale + MULTIPLIER_SCALE });
	for (const { kind, action, by } of actions) {
		const change = changeBy(running, action, by);
		const next = action === 'multiply' ? { units: running.units * BigInt(by), scale: change.scale } : plus(running, change);
		const kept = bound(next);
		line(kind, cut(kept === next ? change : plus(kept, negative(running))));
		running = kept;
	}
	const least = BigInt(tariff.minimum) * tenTo(running.scale);
	const minimum = running.units < least;
	if (minimum) {
		line('minimum', cut({ units: least - running.units, scale: running.scale }));
		running = { units: least, scale: running.scale };
	}

	const rounded = Number(roundToStep(running, { step: BigInt(step), mode }));
	const amount = Math.min(rounded, MAX - (MAX % step));
	if (amount !== rounded) bounded = true;
	if (amount !== sum) lines.push({ kind: 'rounding', amount_minor: amount - sum });
	return { amount_minor: amount, lines, minimum, bounded };
}

const mosts: bigint[] = [];
/** limits.amount_minor_max in units of a scale. */
const mostAt = (scale: number): bigint => (mosts[scale] ??= MOST * tenTo(scale));

const NOTHING: Decimal = { units: 0n, scale: 0 };

/** Exact: the distance is the decimal that its sender wrote. */
function distanceMoney({ per_km }: Tariff, distance_km: number): Decimal {
	if (per_km === 0 || distance_km === 0) return NOTHING;
	const { units, scale } = decimal(distance_km);
	return { units: units * BigInt(per_km), scale };
}

const negative = ({ units, scale }: Decimal): Decimal => ({ units: -units, scale });

function plus(a: Decimal, b: Decimal): Decimal {
	if (a.scale === b.scale) return { units: a.units + b.units, scale: a.scale };
	return a.scale < b.scale
		? { units: a.units * tenTo(b.scale - a.scale) + b.units, scale: b.scale }
		: { units: a.units + b.units * tenTo(a.scale - b.scale), scale: a.scale };
}

/** Toward zero, to the minor unit. */
const cut = ({ units, scale }: Decimal): number => Number(scale === 0 ? units : units / tenTo(scale));

/** Cuts parts (1/10000) of the whole toward zero: in doubles where they are exact, which they nearly always are. */
function partCutter({ units, scale }: Decimal): (part: number) => number {
	const small = Number(units);
	const divisor = Number(tenTo(scale + MULTIPLIER_SCALE));
	return (part) => {
		const product = small * part;
		if (divisor <= 1e12 && Math.abs(product) <= Number.MAX_SAFE_INTEGER) return (product - (product % divisor)) / divisor;
		return cut({ units: units * BigInt(part), scale: scale + MULTIPLIER_SCALE });
	};
}

/** What a price action adds to the running price. */
function changeBy({ units, scale }: Decimal, action: PriceAction['action'], by: number): Decimal {
	switch (action) {
		case 'multiply':
			return { units: units * (BigInt(by) - ONE), scale: scale + MULTIPLIER_SCALE };
		case 'add':
			return { units: BigInt(by), scale: 0 };
		case 'set':
			return { units: BigInt(by) * tenTo(scale) - units, scale };
	}
}
