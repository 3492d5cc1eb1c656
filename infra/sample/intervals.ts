import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import Holidays from 'date-holidays';
import { instantOf } from '#models/calendar.ts';
import { features } from '#models/features/features.ts';
import { advance, fold } from '#models/features/fold.ts';
import { emptyWindow } from '#models/features/window.ts';
import { interval, sizeClass, sizeClasses, sizeEdges, spread } from '#models/forecast/interval.ts';
import { pulse } from '#models/forecast/pulse.ts';
import { pulseTables, usualTables } from '#models/forecast/tables.ts';
import { usualForecast } from '#models/forecast/usual.ts';
import type { UserEvent } from '#schemas/event.ts';
import { type FeatureName, featureIndex } from '#schemas/feature.ts';

// Measures the tables of models/forecast/tables.ts: `node infra/sample/intervals.ts --data DIR`, DIR holding months of New York taxi pickups by
// zone and hour (the format: ../shared/data/README.md). The counts are expanded to events at seeded uniform times inside their hour, so what a
// quarter-hour scatters around its hour is chance here, not traffic.

const ZONE = 'America/New_York';
const HOUR_MS = 3_600_000;
const QUARTER_MS = HOUR_MS / 4;
const DAY_MS = 24 * HOUR_MS;
const WARM_DAYS = 29;
const COVERAGE = 0.8;
/** A class with fewer forecasts than this has no quantile of its own. */
const SAMPLES_MIN = 500;
const horizons = [
	{ minutes: 15, quarters: 1, usual: 'usual_15min' },
	{ minutes: 30, quarters: 2, usual: 'usual_30min' },
	{ minutes: 60, quarters: 4, usual: 'usual_60min' },
] as const satisfies { minutes: number; quarters: number; usual: FeatureName }[];

const { values: options } = parseArgs({
	options: {
		data: { type: 'string' },
		from: { type: 'string', default: '2014-04-01' },
		to: { type: 'string', default: '2014-10-01' },
		zones: { type: 'string', default: '40' },
	},
});
if (!options.data) throw new Error('Cannot measure intervals: --data is missing, wanted a directory of yellow_zone_hour_YYYY-MM.txt.gz');
const { data, from: fromDate, to: toDate } = options;
const begin = instantOf(Date.parse(fromDate), ZONE)!;
const end = instantOf(Date.parse(toDate), ZONE)!;

/** Pickups by zone and hour (instant of its start). */
function readCounts(): Map<string, Map<number, number>> {
	const zones = new Map<string, Map<number, number>>();
	const months = readdirSync(data)
		.filter((file) => file.endsWith('.txt.gz') && file.slice(-14, -7) >= fromDate.slice(0, 7) && file.slice(-14, -7) < toDate.slice(0, 7))
		.sort();
	if (months.length === 0) throw new Error(`Cannot measure intervals: ${data} has no month from ${fromDate} to ${toDate}`);
	for (const file of months) {
		for (const line of gunzipSync(readFileSync(join(data, file)))
			.toString('utf8')
			.split('\n')) {
			const match = /^\((['"])(.*),(\d{4}-\d{2}-\d{2}) (\d{2})\1, (\d+)\)$/.exec(line.trim());
			if (!match) continue;
			const hour = instantOf(Date.parse(`${match[3]}T${match[4]}:00Z`), ZONE);
			if (hour === null) continue;
			const hours = zones.get(match[2]!) ?? new Map<number, number>();
			zones.set(match[2]!, hours);
			hours.set(hour, Number(match[5]));
		}
	}
	return zones;
}

/** Zones of all sizes: evenly spread over the ranks. */
function choose(zones: Map<string, Map<number, number>>): [string, Map<number, number>][] {
	const total = (hours: Map<number, number>) => [...hours.values()].reduce((sum, count) => sum + count, 0);
	const ranked = [...zones].map((zone) => ({ zone, size: total(zone[1]) })).sort((a, b) => b.size - a.size);
	const count = Math.min(Number(options.zones), ranked.length);
	return Array.from({ length: count }, (_, i) => ranked[Math.floor((i * ranked.length) / count)]!.zone);
}

function booking(timestamp: number): UserEvent {
	return { event_id: '', region_id: '', event_type: 'booking', timestamp, ingested_at: timestamp, user_hash: null, product_type: null, metadata: null };
}

/** Residuals in units of spread by horizon and size class, and how many outcomes the tables in force cover. */
interface Account {
	name: string;
	tables: typeof pulseTables;
	residuals: number[][][];
	covered: number[][];
}
const account = (name: string, tables: typeof pulseTables): Account => ({
	name,
	tables,
	residuals: horizons.map(() => Array.from({ length: sizeClasses }, () => [])),
	covered: horizons.map(() => new Array<number>(sizeClasses).fill(0)),
});

const accounts = [account('pulse', pulseTables), account('usual', usualTables)];
const holiday_dates = [2014, 2015].flatMap((year) =>
	new Holidays('US')
		.getHolidays(year)
		.filter(({ type }) => type === 'public')
		.map(({ date }) => date.slice(0, 10)),
);
const region = { time_zone: ZONE, profile: null, holiday_dates };

let state = 20140401;
function random(): number {
	state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
	return state / 2 ** 32;
}

for (const [, hours] of choose(readCounts())) {
	const window = emptyWindow({ lateness_ms: 600_000 });
	// Ahead by the longest horizon, so that what comes is known when it is forecast.
	const counts = new Map<number, number>();
	const times = new Map<number, number[]>();
	const draw = (hour: number) => {
		for (let i = hours.get(hour) ?? 0; i > 0; i--) {
			const at = hour + Math.floor(random() * HOUR_MS);
			const quarter = Math.floor(at / QUARTER_MS);
			counts.set(quarter, (counts.get(quarter) ?? 0) + 1);
			const list = times.get(quarter) ?? [];
			times.set(quarter, list);
			list.push(at);
		}
	};
	draw(begin);
	for (let at = begin; at < end - HOUR_MS; at += QUARTER_MS) {
		const quarter = at / QUARTER_MS;
		if (at % HOUR_MS === 0) draw(at + HOUR_MS);
		advance(window, at);
		if (at >= begin + WARM_DAYS * DAY_MS) {
			const values = features(window, region, at);
			const usual = (name: FeatureName) => values[featureIndex[name]] ?? 0;
			const forecasts = [
				pulse(values),
				usualForecast({ usual_15min: usual('usual_15min'), usual_30min: usual('usual_30min'), usual_60min: usual('usual_60min') }),
			];
			horizons.forEach(({ quarters }, h) => {
				let actual = 0;
				for (let i = 0; i < quarters; i++) actual += counts.get(quarter + i) ?? 0;
				accounts.forEach(({ tables, residuals, covered }, a) => {
					const { expected } = forecasts[a]!.horizons[h]!;
					const size = sizeClass(expected);
					residuals[h]![size]!.push(Math.abs(actual - expected) / spread(expected));
					const { low, high } = interval(tables[h]!, expected);
					if (low <= actual && actual <= high) covered[h]![size]!++;
				});
			});
		}
		for (const time of times.get(quarter) ?? []) fold(window, booking(time));
		times.delete(quarter);
		counts.delete(quarter - 4);
	}
}

console.log(
	`${options.zones} zones, ${fromDate} to ${toDate}, the first ${WARM_DAYS} days to warm the usuals; size classes below ${sizeEdges.join(', ')} and above`,
);
for (const { name, residuals, covered } of accounts) {
	horizons.forEach(({ minutes }, h) => {
		const cells = residuals[h]!.map((list, size) => {
			const sorted = Float64Array.from(list).sort();
			// Conformal: the rank that an exchangeable next one stays below with this probability.
			const rank = Math.min(sorted.length, Math.ceil((sorted.length + 1) * COVERAGE)) - 1;
			const quantile = sorted.length < SAMPLES_MIN ? '-' : sorted[rank]!.toFixed(2);
			return { quantile, samples: sorted.length, covered: sorted.length === 0 ? '-' : (covered[h]![size]! / sorted.length).toFixed(2) };
		});
		console.log(`${name} ${minutes} min`);
		console.log(`  quantiles [${cells.map(({ quantile }) => quantile).join(', ')}]`);
		console.log(`  samples    ${cells.map(({ samples }) => samples).join(' ')}`);
		console.log(`  coverage of the tables in force ${cells.map((cell) => cell.covered).join(' ')}`);
	});
}
