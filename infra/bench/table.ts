/** Rows of cells as aligned text; the first row is the header. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
	const texts = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? format(cell) : cell)));
	const widths = texts[0]?.map((_, column) => Math.max(...texts.map((row) => row[column]?.length ?? 0))) ?? [];
	return texts
		.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  '))
		.join('\n');
}

function format(value: number): string {
	return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

/** The value below which `share` of the values lie. Sorts in place. */
export function percentile(values: number[], share: number): number {
	values.sort((a, b) => a - b);
	return values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => percentile([...values], 0.5);
