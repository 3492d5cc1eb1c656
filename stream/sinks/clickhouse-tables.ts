import { featureNames } from '#schemas/feature.ts';
import { limits } from '#schemas/limits.ts';

/** A table of the history, as ClickHouse says its types and keys. */
export interface Table {
	/** In the order in which rows are written: name, type, codec. A column may be added at the end, with a default for the rows before it; none ever changes. */
	columns: readonly (readonly [name: string, type: string, codec?: string])[];
	/** What makes a record the same record: rows that are equal in it are one. Also the order on disk, so that a region's range of time is read at once. */
	key: readonly string[];
	/** The instant by whose month it is partitioned: part of the record itself, so that a repeated row comes to lie beside the first. */
	at: string;
}

const INSTANT = "DateTime64(3, 'UTC')";
const WORD = 'LowCardinality(String)';
const TIMES = 'DoubleDelta, ZSTD(1)'; // instants in the order of the key grow by steps of like size
const COUNTS = 'Delta, ZSTD(1)';
const FLOATS = 'Gorilla, ZSTD(1)'; // neighbours differ in few bits
const TEXT = 'ZSTD(3)'; // JSON that repeats its field names in each row
const PLAIN = 'ZSTD(1)';

/** By name, which is the noun that a row is one of. Integers of milliseconds are what instants are written as. */
export const tables = {
	/** Everything that happened, late or not, by the log. */
	event: {
		columns: [
			['region_id', WORD],
			['event_type', WORD],
			['timestamp', INSTANT, TIMES],
			['event_id', 'String', PLAIN],
			['ingested_at', INSTANT, TIMES],
			['user_hash', 'Nullable(String)', PLAIN],
			['product_type', 'LowCardinality(Nullable(String))'],
			['metadata', 'Nullable(String)', TEXT],
			['driver_hash', 'Nullable(String)', PLAIN],
			['status', 'LowCardinality(Nullable(String))'],
			['available_drivers', 'Nullable(Int32)', PLAIN],
			['busy_drivers', 'Nullable(Int32)', PLAIN],
			['temperature_c', 'Nullable(Float64)', PLAIN],
			['precipitation_mm_h', 'Nullable(Float64)', PLAIN],
			['traffic_index', 'Nullable(Float64)', PLAIN],
			['name', 'Nullable(String)', PLAIN],
			['starts_at', `Nullable(${INSTANT})`, PLAIN],
			['ends_at', `Nullable(${INSTANT})`, PLAIN],
			['attendance', 'Nullable(Int32)', PLAIN],
		],
		key: ['region_id', 'event_type', 'timestamp', 'event_id'],
		at: 'timestamp',
	},
	/** Final features: what the log says for ever of a region at a minute. One column a feature, so that a query reads the two or three it needs. */
	final: {
		columns: [
			['region_id', WORD],
			['as_of', INSTANT, TIMES],
			['feature_set', WORD],
			...featureNames.map((name) => [name, 'Nullable(Float64)', FLOATS] as const),
		],
		key: ['region_id', 'as_of'],
		at: 'as_of',
	},
	/** What was charged and why: with its snapshot, and the rule set by its digest, a decision is explained. */
	decision: {
		columns: [
			['region_id', WORD],
			['decided_at', INSTANT, TIMES],
			['decision_id', 'String', PLAIN],
			['isolate', 'String', PLAIN],
			['sequence', 'Int64', COUNTS],
			['snapshot_id', 'String', PLAIN],
			['product_type', WORD],
			['status', WORD],
			['amount_minor', 'Int64', COUNTS],
			['currency', WORD],
			['surge_multiplier', 'Decimal(9, 4)', COUNTS],
			['release', 'Int32', COUNTS],
			['rule_set', 'Int32', COUNTS],
			['model', 'LowCardinality(Nullable(String))'],
			['arm', WORD],
			['experiment', 'LowCardinality(Nullable(String))'],
			['user_hash', 'Nullable(String)', PLAIN],
			['answer', 'String', TEXT],
			['inputs', 'String', TEXT],
		],
		key: ['region_id', 'decided_at', 'decision_id'],
		at: 'decided_at',
	},
	/** All that `decide` read of a region, once however many decisions name it. Without features it is as of 1970. */
	snapshot: {
		columns: [
			['region_id', WORD],
			['as_of', INSTANT, TIMES],
			['snapshot_id', 'String', PLAIN],
			['body', 'String', TEXT],
		],
		key: ['region_id', 'as_of', 'snapshot_id'],
		at: 'as_of',
	},
	/** What a model expected from the features of an instant: one row a horizon, once however many snapshots carry it. */
	forecast: {
		columns: [
			['region_id', WORD],
			['as_of', INSTANT, TIMES],
			['model', WORD],
			['minutes', 'UInt16', PLAIN],
			['expected', 'Float64', FLOATS],
			['low', 'Float64', FLOATS],
			['high', 'Float64', FLOATS],
			['out_of_domain', 'Bool', PLAIN],
		],
		key: ['region_id', 'as_of', 'model', 'minutes'],
		at: 'as_of',
	},
	/** What the fold set aside, late or dead. `source` is where in the log (`log`, its identity) the record lies: a worker that dies may say it twice. */
	aside: {
		columns: [
			['topic', WORD],
			['at', INSTANT, TIMES],
			['log', WORD],
			['source', 'String', PLAIN],
			['region_id', WORD],
			['event_type', WORD],
			['event_id', 'String', PLAIN],
			['kind', WORD],
			['reason', 'String', PLAIN],
		],
		key: ['topic', 'at', 'log', 'source'],
		at: 'at',
	},
} as const satisfies Record<string, Table>;

export type TableName = keyof typeof tables;

/** When a row came: not part of any record, so whoever writes does not name it. */
const STORED_AT = "`stored_at` DateTime('UTC') DEFAULT now() CODEC(Delta, ZSTD(1))";

const columnOf = ([name, type, codec]: readonly [string, string, string?]): string => `\`${name}\` ${type}${codec ? ` CODEC(${codec})` : ''}`;

/**
 * The statement that makes a table where it is missing.
 *
 * ReplacingMergeTree keeps one row of each key, so that whatever comes again, in whatever batches, is one row to a query with FINAL.
 * The two years are counted from when a row came, not from the instant that it tells of: for live data that is the same, and a replayed city of 2015 would else
 * be deleted by the next merge. Parts go whole, so a month's rows live until the last of them has passed.
 * Inserts are on disk before they are acknowledged (fsync), since the position in the log moves then.
 * No window of insert tokens: a server that is not replicated notes a token before the part is there, so that what is sent again after a kill in between would be
 * dropped as known, and lost.
 */
export function createTable(name: TableName): string {
	const { columns, key, at } = tables[name] as Table;
	return `CREATE TABLE IF NOT EXISTS \`${name}\` (
	${columns.map(columnOf).join(',\n\t')},
	${STORED_AT}
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(${at})
ORDER BY (${key.join(', ')})
TTL stored_at + INTERVAL ${limits.history_keep_days} DAY
SETTINGS non_replicated_deduplication_window = 0, ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1`;
}

/** The statement that makes a table forget insert tokens: earlier versions made them with a window. */
export const forgetTokens = (name: TableName): string => `ALTER TABLE \`${name}\` MODIFY SETTING non_replicated_deduplication_window = 0`;

/** The statement that adds a column of a later version. */
export function addColumn(name: TableName, column: Table['columns'][number]): string {
	return `ALTER TABLE \`${name}\` ADD COLUMN IF NOT EXISTS ${columnOf(column)}`;
}
