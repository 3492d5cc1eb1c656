// npm run dataset -- --data DIR --out DIR [--from YYYY-MM] [--to YYYY-MM]: the rows that a model is trained on, computed by the product's own features.
// DIR has months of New York taxi pickups by zone and hour (zone-hours.ts). Each run of months without a gap is a span; its first 29 days warm the usuals.
// Out come rows.f32 (row after row, little-endian) and rows.json, which says what the columns are.
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { expandHolidays } from '#control-plane/holidays.ts';
import { instantOf } from '#models/calendar.ts';
import { FEATURE_SET } from '#schemas/feature.ts';
import { QUARTER_MS, seededHours, walkZone } from '../sample/walk-zone.ts';
import { readZoneHours, ZONE_HOURS_TIME_ZONE, zoneHourMonths } from '../sample/zone-hours.ts';
import { datasetColumns, datasetRow, datasetWidth } from './dataset-rows.ts';

const DAY_MS = 24 * 3_600_000;
const WARM_DAYS = 29;
const SEED = 1;

const { values: options } = parseArgs({
	options: { data: { type: 'string' }, out: { type: 'string' }, from: { type: 'string', default: '0000-00' }, to: { type: 'string', default: '9999-99' } },
});
if (!options.data || !options.out) throw new Error('Cannot make a data set: wanted --data DIR (of yellow_zone_hour_YYYY-MM.txt.gz) and --out DIR');
const { data, out, from, to } = options;

const nextMonth = (month: string): string => new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5, 7)), 1)).toISOString().slice(0, 7);
const beginOf = (month: string): number => instantOf(Date.parse(`${month}-01T00:00:00Z`), ZONE_HOURS_TIME_ZONE)!;

/** Runs of months without a gap. */
function spansOf(months: readonly string[]): string[][] {
	const spans: string[][] = [];
	for (const month of months) {
		const last = spans.at(-1);
		if (last !== undefined && nextMonth(last.at(-1)!) === month) last.push(month);
		else spans.push([month]);
	}
	return spans;
}

mkdirSync(out, { recursive: true });
const file = openSync(join(out, 'rows.f32'), 'w');
const numbers = new Map<string, number>();
const spans: { from: string; to: string; rows: number }[] = [];
let total = 0;
for (const months of spansOf(zoneHourMonths(data).filter((month) => month >= from && month <= to))) {
	const begin = beginOf(months[0]!);
	const end = beginOf(nextMonth(months.at(-1)!));
	const holiday_dates = (await expandHolidays('US-NY', { now: begin })) ?? [];
	const region = { time_zone: ZONE_HOURS_TIME_ZONE, profile: null, holiday_dates };
	let rows = 0;
	const zones = [...readZoneHours(data, months)].sort(([a], [b]) => (a < b ? -1 : 1));
	zones.forEach(([name, hours], index) => {
		const zone = numbers.get(name) ?? numbers.size;
		numbers.set(name, zone);
		const chunk = new Float32Array(((end - begin) / QUARTER_MS) * datasetWidth);
		let offset = 0;
		// The last step's coming hour ends with the data.
		walkZone({ hours, begin, end: end - 3 * QUARTER_MS, randomOf: seededHours(name, SEED) }, (step) => {
			if (step.at >= begin + WARM_DAYS * DAY_MS && datasetRow(step, region, { zone, into: chunk, offset })) offset += datasetWidth;
		});
		writeSync(file, new Uint8Array(chunk.buffer, 0, offset * 4));
		rows += offset / datasetWidth;
		if (index % 20 === 19) console.error(`${months[0]} to ${months.at(-1)}: ${index + 1} of ${zones.length} zones, ${rows} rows`);
	});
	spans.push({ from: months[0]!, to: months.at(-1)!, rows });
	total += rows;
}
closeSync(file);
writeFileSync(
	join(out, 'rows.json'),
	`${JSON.stringify(
		{
			what: 'New York taxi pickups by zone: hourly counts expanded to events at seeded uniform times inside their hour, folded by models/features',
			feature_set: FEATURE_SET,
			dtype: '<f4',
			rows: total,
			columns: datasetColumns,
			quarter_seconds: QUARTER_MS / 1000,
			time_zone: ZONE_HOURS_TIME_ZONE,
			seed: SEED,
			warm_days: WARM_DAYS,
			spans,
			zones: [...numbers.keys()],
		},
		null,
		'\t',
	)}\n`,
);
console.log(`${total} rows of ${datasetWidth} columns -> ${out}`);
