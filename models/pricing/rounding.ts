import type { RoundingMode } from '#schemas/rule-set.ts';
import { type Decimal, tenTo } from './decimal.ts';

/**
 * The amount in whole minor units on the grid of `step` (minor units, > 0). `up` is toward plus infinity, `down` toward minus infinity; prices are
 * positive here, since the minimum was applied before. There is no default mode: it must be chosen.
 */
export function roundToStep(amount: Decimal, { step, mode }: { step: bigint; mode: RoundingMode }): bigint {
	const divisor = step * tenTo(amount.scale);
	let steps = amount.units / divisor;
	let rest = amount.units % divisor;
	if (rest < 0n) {
		steps -= 1n;
		rest += divisor;
	}
	return (roundsUp(mode, { steps, twice: rest * 2n, divisor }) ? steps + 1n : steps) * step;
}

function roundsUp(mode: RoundingMode, { steps, twice, divisor }: { steps: bigint; twice: bigint; divisor: bigint }): boolean {
	switch (mode) {
		case 'up':
			return twice > 0n;
		case 'down':
			return false;
		case 'half_up':
			return twice >= divisor;
		case 'half_even':
			return twice > divisor || (twice === divisor && steps % 2n !== 0n);
	}
}
