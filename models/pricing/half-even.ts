/**
 * value / divisor as a whole number, half to even. `divisor` > 0.
 * Exact for safe integers; for other doubles it rounds the correctly rounded quotient, which every engine computes alike.
 */
export function halfEven(value: number, divisor: number): number {
	const rest = value % divisor;
	const low = (value - rest) / divisor;
	if (rest === 0) return low + 0;
	const twice = Math.abs(rest) * 2;
	const away = twice > divisor || (twice === divisor && low % 2 !== 0);
	// `low` is cut toward zero; + 0 keeps -0 out.
	return away ? low + Math.sign(rest) : low + 0;
}
