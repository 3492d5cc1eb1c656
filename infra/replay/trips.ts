import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { parse as csvParser } from 'csv-parse';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { instantOf } from '#models/calendar.ts';

/** TLC files are in New York's local time, without an offset. */
const ZONE = 'America/New_York';
const KM_PER_MILE = 1.609344;

/** Why a row is no trip that can be played. */
export type TripRefusal =
	| 'missing_pickup_time'
	| 'malformed_pickup_time'
	| 'no_such_local_time'
	| 'outside_month'
	| 'outside_from_to'
	| 'missing_zone'
	| 'unknown_zone';

export interface Trip {
	/** Unique over files and runs: the file's name and the row's number in it. */
	event_id: string;
	/** Pickup, milliseconds since 1970. */
	at: number;
	region_id: string;
	distance_km: number | null;
}

export interface Trips {
	rows: number;
	/** Oldest first. */
	trips: Trip[];
	refused: Partial<Record<TripRefusal, number>>;
}

type Row = Record<string, unknown>;

/** Rows of an official file, whatever month's schema: parquet of any codec, or csv. @throws on a file that is neither, naming it. */
async function* rowsOf(path: string): AsyncGenerator<Row> {
	if (/\.parquet$/i.test(path)) {
		const file = await asyncBufferFromFile(path);
		const metadata = await parquetMetadataAsync(file);
		const names = metadata.schema.slice(1).map(({ name }) => name);
		const columns = names.filter((name) => /^(l|t)?pep_pickup_datetime$|^PULocationID$|^trip_distance$|^pickup_datetime$|^PUlocationID$/i.test(name));
		let rowStart = 0;
		for (const { num_rows } of metadata.row_groups) {
			const rowEnd = rowStart + Number(num_rows);
			yield* await parquetReadObjects({ file, metadata, columns, rowStart, rowEnd, compressors });
			rowStart = rowEnd;
		}
		return;
	}
	if (/\.csv$/i.test(path)) {
		yield* createReadStream(path).pipe(
			csvParser({ columns: (header: string[]) => header.map((name) => name.trim()), bom: true, skip_empty_lines: true, relax_column_count: true }),
		);
		return;
	}
	throw new Error(`Cannot replay "${path}": wanted is a .parquet or .csv file of trips`);
}

const WALL = /^(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2}):(\d{2})/;

/** The wall time of a pickup as if it were UTC, milliseconds; null where there is none, NaN where it is malformed. */
function wallOf(value: unknown): number | null {
	if (value === null || value === undefined || value === '') return null;
	if (value instanceof Date) return value.getTime();
	if (typeof value === 'bigint') return Number(value / 1000n); // microseconds
	if (typeof value !== 'string' || !WALL.test(value)) return Number.NaN;
	return Date.parse(`${value.slice(0, 10)}T${value.slice(11, 19)}Z`);
}

/** Reads the files' rows into trips, oldest first, and counts what cannot be played by reason. Never fatal for a row. */
export async function readTrips(
	files: readonly string[],
	options: { known: (regionId: string) => boolean; from: number | undefined; to: number | undefined; onProgress?: (rows: number) => void },
): Promise<Trips> {
	const { known, from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY } = options;
	const result: Trips = { rows: 0, trips: [], refused: {} };
	for (const path of files) {
		const name = basename(path).replace(/\.\w+$/, '');
		const month = /(\d{4}-\d{2})/.exec(name)?.[1];
		let number = 0;
		for await (const row of rowsOf(path)) {
			number += 1;
			result.rows += 1;
			if (result.rows % 100_000 === 0) options.onProgress?.(result.rows);
			const refuse = (reason: TripRefusal) => {
				result.refused[reason] = (result.refused[reason] ?? 0) + 1;
			};
			const wall = wallOf(row['lpep_pickup_datetime'] ?? row['tpep_pickup_datetime'] ?? row['pickup_datetime']);
			const zone = row['PULocationID'] ?? row['PUlocationID'];
			if (wall === null) refuse('missing_pickup_time');
			else if (Number.isNaN(wall)) refuse('malformed_pickup_time');
			else if (month && new Date(wall).toISOString().slice(0, 7) !== month) refuse('outside_month');
			else if (zone === null || zone === undefined || zone === '') refuse('missing_zone');
			else if (!known(`nyc-${Number(zone)}`)) refuse('unknown_zone');
			else {
				const at = instantOf(wall, ZONE);
				if (at === null) refuse('no_such_local_time');
				else if (at < from || at >= to) refuse('outside_from_to');
				else {
					const miles = Number(row['trip_distance']);
					const distance_km = miles >= 0 && miles < 1000 ? Math.round(miles * KM_PER_MILE * 100) / 100 : null;
					result.trips.push({ event_id: `${name}-${number}`, at, region_id: `nyc-${Number(zone)}`, distance_km });
				}
			}
		}
	}
	result.trips.sort((a, b) => a.at - b.at);
	return result;
}
