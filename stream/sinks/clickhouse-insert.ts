import { type ClickHouseClient, ClickHouseError } from '@clickhouse/client';
import { limits } from '#schemas/limits.ts';
import { causeOf } from '../cause-of.ts';
import type { Row } from './clickhouse-rows.ts';
import { ensureTables } from './clickhouse-schema.ts';
import { type Table, type TableName, tables } from './clickhouse-tables.ts';

/** What ClickHouse says of values that do not fit a column, and of nothing else: everything besides is no record's fault, and waits. */
const ABOUT_CONTENT = new Set([
	'6', // CANNOT_PARSE_TEXT
	'25', // CANNOT_PARSE_ESCAPE_SEQUENCE
	'26', // CANNOT_PARSE_QUOTED_STRING
	'27', // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	'32', // ATTEMPT_TO_READ_AFTER_EOF
	'38', // CANNOT_PARSE_DATE
	'41', // CANNOT_PARSE_DATETIME
	'53', // TYPE_MISMATCH
	'69', // ARGUMENT_OUT_OF_BOUND
	'70', // CANNOT_CONVERT_TYPE
	'72', // CANNOT_PARSE_NUMBER
	'117', // INCORRECT_DATA
	'131', // TOO_LARGE_STRING_SIZE
	'321', // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
	'349', // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
	'407', // DECIMAL_OVERFLOW
	'691', // UNKNOWN_ELEMENT_OF_ENUM
]);

const settings = {
	input_format_null_as_default: 0, // a null where none may be is refused, not made a zero
	max_partitions_per_insert_block: '0', // late events may tell of any month
	async_insert: 0, // rounds are gathered here: when an insert returns its rows are on disk
} as const;

const isAboutContent = (error: unknown): boolean => error instanceof ClickHouseError && ABOUT_CONTENT.has(error.code);

/**
 * Puts rows into a table; durable when it resolves. Rows whose content ClickHouse refuses are found by halving, handed to `onRefused` and left out: they would
 * hold up their partition for ever. That is done only after the table was found to be as it should be, else every row would be at fault for it.
 * @returns how many rows were put.
 */
export async function insertRows(
	client: ClickHouseClient,
	options: { table: TableName; rows: readonly Row[]; onRefused: (row: Row, why: string) => void },
): Promise<number> {
	const { table, rows, onRefused } = options;
	if (rows.length === 0) return 0;
	const columns = (tables[table] as Table).columns.map(([name]) => name) as [string, ...string[]];
	const put = async (from: number, to: number): Promise<void> => {
		const deadline = AbortSignal.timeout(limits.history_insert_ms);
		const inserting = client.insert({
			table,
			columns,
			values: rows.slice(from, to),
			format: 'JSONCompactEachRow',
			clickhouse_settings: settings,
			abort_signal: deadline,
		});
		await inserting.catch((error: unknown) => {
			throw deadline.aborted ? new Error(`an insert was not answered within ${limits.history_insert_ms} ms`) : error;
		});
	};
	const halve = async (from: number, to: number): Promise<number> => {
		try {
			await put(from, to);
			return to - from;
		} catch (error) {
			if (!isAboutContent(error)) throw error;
			if (to - from > 1) {
				const middle = Math.floor((from + to) / 2);
				return (await halve(from, middle)) + (await halve(middle, to));
			}
			onRefused(rows[from]!, causeOf(error));
			return 0;
		}
	};
	try {
		await put(0, rows.length);
		return rows.length;
	} catch (error) {
		if (!isAboutContent(error)) throw error;
		await ensureTables(client);
		return await halve(0, rows.length);
	}
}
