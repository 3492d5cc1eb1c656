/** One line of a chart. */
export interface Series {
	name: string;
	colour: string;
	values: readonly number[];
	dashed?: boolean;
}

export interface Chart {
	title: string;
	/** What the y axis counts. */
	unit: string;
	/** Texts under the x axis, by the index of a value. */
	ticks: readonly { at: number; label: string }[];
	series: readonly Series[];
	/** A band behind the lines. */
	band?: { low: readonly number[]; high: readonly number[]; colour: string; name: string };
}

const WIDTH = 960;
const HEIGHT = 300;
const LEFT = 56;
const RIGHT = 16;
const TOP = 52;
const BOTTOM = 30;
const GRID_LINES = 5;

const escapeXml = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** A step of 1, 2 or 5 times a power of ten that divides [0, max] into about GRID_LINES. */
function stepOf(max: number): number {
	const power = 10 ** Math.floor(Math.log10(max / GRID_LINES));
	return power * ([1, 2, 5, 10].find((factor) => factor * power * GRID_LINES >= max) ?? 10);
}

/** A line chart from zero, as the text of an SVG file. */
export function svgOf({ title, unit, ticks, series, band }: Chart): string {
	const count = Math.max(2, ...series.map(({ values }) => values.length));
	const max = Math.max(1e-9, ...series.flatMap(({ values }) => values), ...(band?.high ?? []));
	const step = stepOf(max);
	const top = Math.ceil(max / step) * step;
	const x = (index: number) => (LEFT + ((WIDTH - LEFT - RIGHT) * index) / (count - 1)).toFixed(1);
	const y = (value: number) => (TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)).toFixed(1);
	const points = (values: readonly number[]) => values.map((value, index) => `${x(index)},${y(value)}`);
	const parts = [
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
		`<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
		`<text x="${LEFT}" y="18" font-size="14">${escapeXml(title)}</text>`,
	];
	for (let value = 0; value <= top + step / 2; value += step)
		parts.push(
			`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>`,
			`<text x="${LEFT - 6}" y="${y(value)}" dy="4" text-anchor="end" fill="#555">${Number(value.toPrecision(6))}</text>`,
		);
	for (const { at, label } of ticks) parts.push(`<text x="${x(at)}" y="${HEIGHT - 10}" text-anchor="middle" fill="#555">${escapeXml(label)}</text>`);
	if (band) parts.push(`<polygon points="${[...points(band.high), ...points(band.low).reverse()].join(' ')}" fill="${band.colour}"/>`);
	for (const { values, colour, dashed } of series)
		parts.push(`<polyline points="${points(values).join(' ')}" fill="none" stroke="${colour}" stroke-width="1.5"${dashed ? ' stroke-dasharray="4 3"' : ''}/>`);
	const legend = [...series.map(({ name, colour }) => ({ name, colour })), ...(band ? [{ name: band.name, colour: band.colour }] : [])];
	legend.forEach(({ name, colour }, index) => {
		const at = LEFT + index * 150;
		parts.push(`<rect x="${at}" y="28" width="14" height="8" fill="${colour}"/>`, `<text x="${at + 20}" y="36" fill="#333">${escapeXml(name)}</text>`);
	});
	parts.push(`<text x="${WIDTH - RIGHT}" y="18" text-anchor="end" fill="#555">${escapeXml(unit)}</text>`, '</svg>');
	return `${parts.join('\n')}\n`;
}
