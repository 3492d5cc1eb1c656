import { random } from '../city/random.ts';

/** Seeded choices: the same seed makes the same request. */
export interface Dice {
	/** 0 .. below - 1 */
	below(below: number): number;
	/** True in that share of the throws. */
	chance(share: number): boolean;
	pick<T>(from: readonly [T, ...T[]]): T;
	pick<T>(from: readonly T[]): T | undefined;
}

export function dice(seed: number): Dice {
	const next = random(seed);
	const below = (n: number) => Math.floor(next() * n);
	return { below, chance: (share) => next() < share, pick: <T>(from: readonly T[]) => from[below(from.length)] as T };
}
