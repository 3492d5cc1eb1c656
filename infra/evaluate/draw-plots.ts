import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { localTime } from '#models/calendar.ts';
import { ZONE_HOURS_TIME_ZONE } from '../sample/zone-hours.ts';
import { type Chart, svgOf } from './plot.ts';
import { type Judged, methods, type Scores, wape } from './score.ts';

/** A large zone, an airport, a middling and a small one. */
export const plottedZones = ['Manhattan,Midtown Center', 'Queens,JFK Airport', 'Brooklyn,Williamsburg (North Side)', 'Queens,Astoria'];
const FIRST_DAY = 8;
const DAYS = 7;
const COLOURS = { actual: '#222', model: '#0969da', pulse: '#bf8700', mean_of_4: '#8250df', last_week: '#999', band: '#cfe3fa' };

interface Point {
	at: number;
	judged: Judged;
}

/** Collects the 8th to the 14th of a month for the plotted zones. */
export class PlotCollector {
	readonly points = new Map<string, Point[]>();

	watch(zone: string, at: number, judged: Judged): void {
		if (!plottedZones.includes(zone)) return;
		const day = Number(localTime(at, ZONE_HOURS_TIME_ZONE).date.slice(8));
		if (day < FIRST_DAY || day >= FIRST_DAY + DAYS) return;
		const list = this.points.get(zone) ?? [];
		this.points.set(zone, list);
		list.push({ at, judged });
	}
}

function zoneChart(zone: string, points: readonly Point[], model: string): Chart {
	const of = (pick: (judged: Judged) => number) => points.map(({ judged }) => pick(judged));
	return {
		title: `${zone}: bookings of the coming hour, as forecast at its start`,
		unit: 'bookings an hour',
		ticks: points.flatMap(({ at }, index) => (index % 24 === 12 ? [{ at: index, label: localTime(at, ZONE_HOURS_TIME_ZONE).date }] : [])),
		band: {
			low: of(({ model: { horizons } }) => horizons[2].low),
			high: of(({ model: { horizons } }) => horizons[2].high),
			colour: COLOURS.band,
			name: '80 % interval',
		},
		series: [
			{ name: 'mean of 4 weeks', colour: COLOURS.last_week, values: of(({ mean_of_4 }) => mean_of_4[2]), dashed: true },
			{ name: model, colour: COLOURS.model, values: of((judged) => judged.model.horizons[2].expected) },
			{ name: 'actual', colour: COLOURS.actual, values: of(({ actual }) => actual[2]) },
		],
	};
}

function hoursChart({ hours }: Scores, model: string, month: string): Chart {
	const names = { model, pulse: 'pulse', mean_of_4: 'mean of 4 weeks', last_week: 'last week' };
	return {
		title: `Error by hour of day, ${month}, 60 minutes`,
		unit: 'WAPE in %, all zones',
		ticks: Array.from({ length: 24 }, (_, hour) => ({ at: hour, label: String(hour) })),
		series: methods.map((method) => ({ name: names[method], colour: COLOURS[method], values: hours['60'].map((sums) => wape(sums, method)) })),
	};
}

/** Writes one SVG a zone and one of the error by hour of day. @returns the files. */
export function drawPlots(directory: string, { points }: PlotCollector, { scores, model, month }: { scores: Scores; model: string; month: string }): string[] {
	mkdirSync(directory, { recursive: true });
	const charts: [string, Chart][] = [['error-by-hour', hoursChart(scores, model, month)]];
	for (const [zone, list] of points)
		charts.push([
			zone
				.toLowerCase()
				.replaceAll(/[^a-z0-9]+/g, '-')
				.replace(/-$/, ''),
			zoneChart(zone, list, model),
		]);
	return charts.map(([name, chart]) => {
		const file = join(directory, `${month}-${name}.svg`);
		writeFileSync(file, svgOf(chart));
		return file;
	});
}
