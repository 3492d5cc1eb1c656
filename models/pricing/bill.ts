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
const MAX = limits.amount_minor_max;

/**
 * The price of base + distance under a multiplier (1/10000, made of `factors`): price actions on the exact running price in their order, then the
 * minimum, then one rounding. Each line is cut toward zero to the minor unit, `rounding` closes the sum; lines of zero are left out.
 */
export function bill(
	{ tariff, distance_km }: { tariff: Tariff; distance_km: number },
	{ multiplier, factors }: { multiplier: number; factors: readonly Factor[] },
	{ actions, step, mode }: { actions: readonly PriceAction[]; step: number; mode: RoundingMode },
): Bill {
	const sheet = new Map<string, number>();
	let sum = 0;
	let bounded = false;
	/** The running sum stays within the bounds, so that every line and every partial sum is an exact number. */
	const line = (kind: string, exactly: number | bigint): void => {
		const amount = Number(exactly);
		const kept = Math.min(Math.max(amount, -MAX - sum), MAX - sum);
		if (kept !== amount) bounded = true;
		if (kept === 0) return;
		sheet.set(kind, kept);
		sum += kept;
	};

	const whole = baseAndDistance(tariff, distance_km);
	line('base', tariff.base);
	if (whole.scale > 0 || whole.units !== BigInt(tariff.base)) line('distance', whole.units / tenTo(whole.scale) - BigInt(tariff.base));
	const cut = cutProduct(whole);
	for (const [kind, part] of factors) line(kind, cut(part));

	let running: Decimal = { units: whole.units * BigInt(multiplier), scale: whole.scale + MULTIPLIER_SCALE };
	const bound = (price: Decimal): Decimal => {
		const most = BigInt(MAX) * tenTo(price.scale);
		if (price.units <= most && price.units >= -most) return price;
		bounded = true;
		return { units: price.units > 0n ? most : -most, scale: price.scale };
	};
	running = bound(running);
	for (const { kind, action, by } of actions) {
		const next = bound(acted(running, action, by));
		line(
			kind,
			(next.units * tenTo(Math.max(0, running.scale - next.scale)) - running.units * tenTo(Math.max(0, next.scale - running.scale))) /
				tenTo(Math.max(running.scale, next.scale)),
		);
		running = next;
	}
	const least = BigInt(tariff.minimum) * tenTo(running.scale);
	const minimum = running.units < least;
	if (minimum) {
		line('minimum', (least - running.units) / tenTo(running.scale));
		running = { units: least, scale: running.scale };
	}

	const rounded = Number(roundToStep(running, { step: BigInt(step), mode }));
	const most = MAX - (MAX % step);
	const amount = Math.min(rounded, most);
	if (amount !== rounded) bounded = true;
	if (amount !== sum) sheet.set('rounding', amount - sum);
	return { amount_minor: amount, lines: Array.from(sheet, ([kind, amount_minor]) => ({ kind, amount_minor })), minimum, bounded };
}

/** Exact: the distance is the decimal that its sender wrote. */
function baseAndDistance({ base, per_km }: Tariff, distance_km: number): Decimal {
	if (per_km === 0 || distance_km === 0) return { units: BigInt(base), scale: 0 };
	const { units, scale } = decimal(distance_km);
	return { units: BigInt(base) * tenTo(scale) + units * BigInt(per_km), scale };
}

/** A part (1/10000) of the whole, cut toward zero. In doubles where they are exact, which they nearly always are. */
function cutProduct({ units, scale }: Decimal): (part: number) => number | bigint {
	const small = Number(units);
	const divisor = 10 ** (scale + MULTIPLIER_SCALE);
	return (part) => {
		const product = small * part;
		if (divisor <= 1e12 && Math.abs(product) <= Number.MAX_SAFE_INTEGER) return (product - (product % divisor)) / divisor;
		return (units * BigInt(part)) / tenTo(scale + MULTIPLIER_SCALE);
	};
}

function acted({ units, scale }: Decimal, action: PriceAction['action'], by: number): Decimal {
	switch (action) {
		case 'multiply':
			return { units: units * BigInt(by), scale: scale + MULTIPLIER_SCALE };
		case 'add':
			return { units: units + BigInt(by) * tenTo(scale), scale };
		case 'set':
			return { units: BigInt(by), scale: 0 };
	}
}
