// npm run profiles -- --data DIR: computes infra/sample/nyc-profiles.json, the mean number of pickups per taxi zone and hour of the week, from files of
// counts per zone and hour (lines like `('Manhattan,Midtown Center,2015-01-01 00', 123)`, New York local time; hours without a pickup are absent)
// and the zone lookup. The table is committed: the product needs no data files.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { parse } from 'csv-parse/sync';

const HOURS = 168;
const MONTH_FILE = /yellow_zone_hour_(\d{4})-(\d{2})\.txt\.gz$/;
const LINE = /^\((['"])(.*),(\d{4}-\d{2}-\d{2}) (\d{2})\1, (\d+)\)$/;

/** Local calendar arithmetic only: the files have no offsets. Monday 00:00 is 0. */
const hourOfWeek = (date: string, hour: number): number => ((new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7) * 24 + hour;

const { values } = parseArgs({ options: { data: { type: 'string' }, help: { type: 'boolean' } } });
if (!values.data || values.help) {
	console.log('npm run profiles -- --data DIR   where DIR has yellow-zone-hour/ and zones/taxi-zone-lookup.csv');
	process.exit(values.help ? 0 : 1);
}

const zones = (
	parse(readFileSync(join(values.data, 'zones/taxi-zone-lookup.csv'), 'utf8').replaceAll('\r', '\n'), { columns: true, skip_empty_lines: true }) as Record<
		string,
		string
	>[]
).map((row) => ({ id: Number(row['LocationID']), borough: row['Borough'] ?? '', name: row['Zone'] ?? '' }));

/** Two names stand for several zones; their pickups are shared out evenly. */
const idsOf = (borough: string, name: string): number[] =>
	zones
		.filter((zone) => zone.borough === borough && (zone.name === name || (name.startsWith('Governor') && zone.name.startsWith('Governor'))))
		.map(({ id }) => id);

const sums = new Map<number, Float64Array>();
const hours = new Float64Array(HOURS);
let lines = 0;
const strangers = new Set<string>();
const files = readdirSync(join(values.data, 'yellow-zone-hour')).filter((file) => MONTH_FILE.test(file));
for (const file of files) {
	const [, year, month] = MONTH_FILE.exec(file)!;
	const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
	for (let day = 1; day <= days; day++) for (let hour = 0; hour < 24; hour++) hours[hourOfWeek(`${year}-${month}-${String(day).padStart(2, '0')}`, hour)]! += 1;
	for (const line of gunzipSync(readFileSync(join(values.data, 'yellow-zone-hour', file)))
		.toString('utf8')
		.split('\n')) {
		const match = LINE.exec(line.trim());
		if (!match) continue;
		lines += 1;
		const [, , place = '', date = '', hour, count] = match;
		const comma = place.indexOf(',');
		const ids = idsOf(place.slice(0, comma), place.slice(comma + 1));
		if (ids.length === 0) strangers.add(place);
		for (const id of ids) {
			const row = sums.get(id) ?? new Float64Array(HOURS);
			row[hourOfWeek(date, Number(hour))]! += Number(count) / ids.length;
			sums.set(id, row);
		}
	}
}
const table = zones
	.filter(({ id }) => id <= 263) // 264 and 265 are "unknown"
	.map(({ id, borough, name }) => ({
		id,
		name: `${name}, ${borough}`,
		profile: Array.from({ length: HOURS }, (_, hour) => Math.round(((sums.get(id)?.[hour] ?? 0) / hours[hour]!) * 100) / 100),
	}));
const target = join(import.meta.dirname, 'nyc-profiles.json');
writeFileSync(target, `[\n${table.map((zone) => JSON.stringify(zone)).join(',\n')}\n]\n`);
console.log(
	`${files.length} files, ${lines} lines, ${table.length} zones, ${table.filter(({ profile }) => profile.some(Boolean)).length} with pickups -> ${target}`,
);
if (strangers.size > 0) console.log(`names without a zone: ${[...strangers].join('; ')}`);
