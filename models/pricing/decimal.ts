/** units / 10^scale, exactly. */
export interface Decimal {
	units: bigint;
	scale: number;
}

const powers: bigint[] = [1n];

/** 10^exponent. The table grows to the greatest scale ever used: some 1,200 entries under the limits of rule sets. */
export function tenTo(exponent: number): bigint {
	for (let at = powers.length; at <= exponent; at++) powers.push(powers[at - 1]! * 10n);
	return powers[exponent]!;
}

const SHORTEST = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/;

/** The exact decimal of a finite double's shortest text: what its sender wrote, exponent form included. */
export function decimal(value: number): Decimal {
	const match = SHORTEST.exec(String(value));
	if (!match) throw new RangeError(`decimal() wants a finite number, got ${value}`);
	const [, sign, whole = '', fraction = '', exponent = '0'] = match;
	const units = BigInt(`${sign}${whole}${fraction}`);
	const scale = fraction.length - Number(exponent);
	return scale < 0 ? { units: units * tenTo(-scale), scale: 0 } : { units, scale };
}
