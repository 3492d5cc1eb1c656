/** "12.5" with 2 digits as 1250 minor units; null when it has more digits after the point than the currency. The text has passed the schema. */
export function minorUnits(text: string, digits: number): number | null {
	const [whole = '', fraction = ''] = text.split('.');
	return fraction.length > digits ? null : Number(`${whole}${fraction.padEnd(digits, '0')}`) + 0;
}
