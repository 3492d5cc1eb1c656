import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { instantOf } from '#models/calendar.ts';

/** The wall clock of the counts. */
export const ZONE_HOURS_TIME_ZONE = 'America/New_York';
const MONTH_FILE = /(\d{4}-\d{2})\.txt\.gz$/;
const LINE = /^\((['"])(.*),(\d{4}-\d{2}-\d{2}) (\d{2})\1, (\d+)\)$/;

/** Pickups of one zone by the instant (milliseconds since 1970) at which their hour begins; an hour without any is absent. */
export type ZoneHours = ReadonlyMap<number, number>;

function folderOf(directory: string): string {
	const inner = join(directory, 'yellow-zone-hour');
	return existsSync(inner) ? inner : directory;
}

/** The months, YYYY-MM, in order, that a directory of files `..._YYYY-MM.txt.gz` has (or its `yellow-zone-hour` folder). */
export function zoneHourMonths(directory: string): string[] {
	return readdirSync(folderOf(directory))
		.flatMap((file) => MONTH_FILE.exec(file)?.[1] ?? [])
		.sort();
}

/**
 * Counts by zone (`Borough,Zone`) and hour of the given months, from lines like `('Manhattan,Midtown Center,2015-01-01 00', 123)` in New York local
 * time. Lines of another shape, and hours that the clocks skip, are passed over. Throws for a month that the directory does not have.
 */
export function readZoneHours(directory: string, months: readonly string[]): Map<string, Map<number, number>> {
	const zones = new Map<string, Map<number, number>>();
	const folder = folderOf(directory);
	const files = readdirSync(folder);
	for (const month of months) {
		const file = files.find((name) => name.endsWith(`${month}.txt.gz`));
		if (file === undefined) throw new Error(`Cannot read ${month}: ${folder} has no file that ends in ${month}.txt.gz`);
		for (const line of gunzipSync(readFileSync(join(folder, file)))
			.toString('utf8')
			.split('\n')) {
			const match = LINE.exec(line.trim());
			if (!match) continue;
			const hour = instantOf(Date.parse(`${match[3]}T${match[4]}:00Z`), ZONE_HOURS_TIME_ZONE);
			if (hour === null) continue;
			const hours = zones.get(match[2]!) ?? new Map<number, number>();
			zones.set(match[2]!, hours);
			hours.set(hour, Number(match[5]));
		}
	}
	return zones;
}
