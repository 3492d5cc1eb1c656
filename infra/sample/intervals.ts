import { parseArgs } from 'node:util';
import Holidays from 'date-holidays';
import { instantOf } from '#models/calendar.ts';
import { features } from '#models/features/features.ts';
import { interval, sizeClass, sizeClasses, sizeEdges, spread } from '#models/forecast/interval.ts';
import { pulse } from '#models/forecast/pulse.ts';
import { pulseTables, usualTables } from '#models/forecast/tables.ts';
import { usualForecast } from '#models/forecast/usual.ts';
import { type FeatureName, featureIndex } from '#schemas/feature.ts';
import { HOUR_MS, walkZone } from './walk-zone.ts';
import { readZoneHours, ZONE_HOURS_TIME_ZONE, type ZoneHours, zoneHourMonths } from './zone-hours.ts';

// Measures the tables of models/forecast/tables.ts: `node infra/sample/intervals.ts --data DIR`, DIR holding months of New York taxi pickups by
// zone and hour (the format: zone-hours.ts), expanded to events (walk-zone.ts).

const DAY_MS = 24 * HOUR_MS;
const WARM_DAYS = 29;
const COVERAGE = 0.8;
/** A class with fewer forecasts than this has no quantile of its own. */
const SAMPLES_MIN = 500;
const horizons = [
	{ minutes: 15, quarters: 1, usual: 'usual_15min' },
	{ minutes: 30, quarters: 2, usual: 'usual_30min' },
	{ minutes: 60, quarters: 4, usual: 'usual_60min' },
] as const satisfies { minutes: number; quarters: 1 | 2 | 4; usual: FeatureName }[];

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
const begin = instantOf(Date.parse(fromDate), ZONE_HOURS_TIME_ZONE)!;
const end = instantOf(Date.parse(toDate), ZONE_HOURS_TIME_ZONE)!;

const months = zoneHourMonths(data).filter((month) => month >= fromDate.slice(0, 7) && month < toDate.slice(0, 7));
if (months.length === 0) throw new Error(`Cannot measure intervals: ${data} has no month from ${fromDate} to ${toDate}`);

/** Zones of all sizes: evenly spread over the ranks. */
function choose(zones: ReadonlyMap<string, ZoneHours>): ZoneHours[] {
	const total = (hours: ZoneHours) => [...hours.values()].reduce((sum, count) => sum + count, 0);
	const ranked = [...zones.values()].map((zone) => ({ zone, size: total(zone) })).sort((a, b) => b.size - a.size);
	const count = Math.min(Number(options.zones), ranked.length);
	return Array.from({ length: count }, (_, i) => ranked[Math.floor((i * ranked.length) / count)]!.zone);
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
const region = { time_zone: ZONE_HOURS_TIME_ZONE, profile: null, holiday_dates };

let state = 20140401;
function random(): number {
	state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
	return state / 2 ** 32;
}

for (const hours of choose(readZoneHours(data, months))) {
	walkZone({ hours, begin, end: end - HOUR_MS, randomOf: () => random }, ({ at, window, coming }) => {
		if (at < begin + WARM_DAYS * DAY_MS) return;
		const values = features(window, region, at);
		const usual = (name: FeatureName) => values[featureIndex[name]] ?? 0;
		const forecasts = [
			pulse(values),
			usualForecast({ usual_15min: usual('usual_15min'), usual_30min: usual('usual_30min'), usual_60min: usual('usual_60min') }),
		];
		horizons.forEach(({ quarters }, h) => {
			const actual = coming(quarters);
			accounts.forEach(({ tables, residuals, covered }, a) => {
				const { expected } = forecasts[a]!.horizons[h]!;
				const size = sizeClass(expected);
				residuals[h]![size]!.push(Math.abs(actual - expected) / spread(expected));
				const { low, high } = interval(tables[h]!, expected);
				if (low <= actual && actual <= high) covered[h]![size]!++;
			});
		});
	});
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
