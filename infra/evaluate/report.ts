import { sizeEdges } from '#models/forecast/interval.ts';
import { table } from '../bench/table.ts';
import { coverage, type HorizonName, horizonNames, type Method, methods, type Scores, wape } from './score.ts';

const percent = (value: number): string => (Number.isFinite(value) ? value.toFixed(2) : '-');
const round = (value: number, digits: number): number => Number(value.toFixed(digits));

/** The figures as they stand in a manifest and in the last line of `npm run evaluate`. */
export interface Figures {
	wape: Record<HorizonName, Record<Method, number>>;
	coverage: Record<HorizonName, number>;
}

export function figuresOf({ all }: Scores): Figures {
	const of = (name: HorizonName) => Object.fromEntries(methods.map((method) => [method, round(wape(all[name], method), 3)])) as Record<Method, number>;
	return {
		wape: { '15': of('15'), '30': of('30'), '60': of('60') },
		coverage: { '15': round(coverage(all['15'], 'model'), 4), '30': round(coverage(all['30'], 'model'), 4), '60': round(coverage(all['60'], 'model'), 4) },
	};
}

/** Tables for a person: by horizon, and by size class of the zone-hour's usual. */
export function reportOf(scores: Scores, { month, model }: { month: string; model: string }): string {
	const header = ['model', 'pulse', 'mean of 4', 'last week', 'coverage', 'of pulse'];
	const cells = (sums: Scores['all']['15']) => [
		...methods.map((method) => percent(wape(sums, method))),
		...(['model', 'pulse'] as const).map((method) => percent(100 * coverage(sums, method))),
	];
	const classes = sizeEdges.map((edge) => `below ${edge}`).concat(`${sizeEdges.at(-1)} and more`);
	const sections = horizonNames.map((name) =>
		table([
			[`${name} minutes`, ...header, 'bookings', 'zone-hours'],
			['all zones', ...cells(scores.all[name]), scores.all[name].actual, scores.all[name].hours],
			...classes.map((label, size) => {
				const sums = scores.sizes[name][size]!;
				return [`  usual ${label}`, ...cells(sums), sums.actual, sums.hours];
			}),
		]),
	);
	return [
		`${model} in ${month}: WAPE in %, over all zones; coverage in % of the 80 % interval, where the hour's usual is 10 or more.`,
		'Forecasts at the start of each hour. The truth at 15 and 30 minutes is drawn: the hourly counts, spread evenly by a seed; the two means get their share of the hour.',
		`${scores.out_of_domain} zone-hours were out of the model's domain (pulse stood in), ${scores.clamped} outputs were clamped.`,
		...sections,
	].join('\n\n');
}
