const MINUTE_MS = 60_000;
export const FINALS = 'finals/';

const KEY = /^finals\/day=(\d{4}-\d\d-\d\d)\/utc_hour=(\d\d)\/shard=(\d+)-(\d\d)(\.partial)?\.parquet$/;

/**
 * The key of the file whose first final is of this instant: day and hour are UTC's; behind the partition stands the minute at which the file begins, 00 unless
 * an hour is in several files or the log began in the middle of it. `utc_hour`, since readers make columns of such names, and `hour` is a feature.
 */
export function finalsKey({ begins, partition, partial }: { begins: number; partition: number; partial: boolean }): string {
	const at = new Date(begins).toISOString();
	return `${FINALS}day=${at.slice(0, 10)}/utc_hour=${at.slice(11, 13)}/shard=${partition}-${at.slice(14, 16)}${partial ? '.partial' : ''}.parquet`;
}

export interface FinalsFile {
	key: string;
	/** YYYY-MM-DD, UTC. */
	day: string;
}

/** The files of finals among these keys that are to be read: of one that is there in part and whole, the whole. */
export function finalsFiles(keys: readonly string[]): FinalsFile[] {
	const all = new Set(keys);
	return keys.flatMap((key) => {
		const match = KEY.exec(key);
		if (!match || (match[5] !== undefined && all.has(key.replace('.partial.parquet', '.parquet')))) return [];
		return [{ key, day: match[1]! }];
	});
}

/** The minute of an instant, counted from 1970. */
export const minuteOf = (instant: number): number => Math.floor(instant / MINUTE_MS);
/** The hour of an instant, counted from 1970. */
export const hourOf = (instant: number): number => Math.floor(instant / (60 * MINUTE_MS));
