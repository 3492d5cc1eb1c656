import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, extname, join, resolve } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import * as z from 'zod';
import type { S3Place } from '#control-plane/s3-place.ts';
import { featureNames } from '#schemas/feature.ts';
import { limits } from '#schemas/limits.ts';
import { openFileStore } from '#stream/offline/open-file-store.ts';
import { collectFinals } from './collect-finals.ts';

export interface TrainingSetOptions {
	/** .csv or .parquet with a column region_id, a column of times and any others. */
	labels: string;
	/** The column of times: what was known then is joined. */
	asOf: string;
	/** .parquet or .csv; replaced when it is there. */
	out: string;
	/** The offline store: an absolute directory, or a bucket. */
	store: string | S3Place;
	/** Older finals than this count as none; null: however old. */
	maxAgeMinutes: number | null;
	onProgress?: (text: string) => void;
}

export interface TrainingSet {
	/** Rows: one for each label. */
	rows: number;
	/** Of them with features. */
	matched: number;
	/** Finals looked at, and their files. */
	finals: number;
	files: number;
}

const TIME = 'features_as_of';
const DAY_MS = 24 * 3_600_000;

const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;
const name = (value: string): string => `"${value.replaceAll('"', '""')}"`;
const list = (values: readonly string[]): string => `[${values.map(text).join(', ')}]`;

async function rowsOf<T>(connection: DuckDBConnection, query: string, shape: z.ZodType<T>): Promise<T[]> {
	return z.array(shape).parse((await connection.runAndReadAll(query)).getRowObjectsJson());
}

function formatOf(file: string, what: string): 'csv' | 'parquet' {
	const extension = extname(file).toLowerCase();
	if (extension === '.csv' || extension === '.parquet') return extension.slice(1) as 'csv' | 'parquet';
	throw new Error(`Cannot make a training set: ${what} is "${file}", wanted is a .csv or .parquet file`);
}

/** How the labels are read. What is an id or a time in a CSV file stays the text that it is, whatever it looks like. */
function readerOf(labels: string, asText: readonly string[]): string {
	if (formatOf(labels, '--labels') === 'parquet') return `read_parquet(${text(labels)}, hive_partitioning = false)`;
	const types = asText.map((column) => `${text(column)}: 'VARCHAR'`).join(', ');
	return `read_csv(${text(labels)}, header = true, sample_size = -1, hive_partitioning = false${types && `, types = {${types}}`})`;
}

/** A label's time as microseconds since 1970; null where it is none. Without an offset a time is UTC's. */
function timeOf(column: string, type: string): string {
	const value = name(column);
	if (type === 'VARCHAR') return `CASE WHEN isfinite(TRY_CAST(${value} AS TIMESTAMPTZ)) THEN epoch_us(TRY_CAST(${value} AS TIMESTAMPTZ)) END`;
	if (/^(TIMESTAMP|DATE)/.test(type)) return `CASE WHEN isfinite(${value}) THEN epoch_us(${value}::TIMESTAMPTZ) END`;
	throw new Error(`Cannot make a training set: column "${column}" is of type ${type}, wanted are times (text, a date or a timestamp)`);
}

/**
 * Joins each label with the newest final of its region whose as_of is not after the label's time: what was known then, so that no feature tells of the future.
 * Labels without one get nulls. The result has the labels' columns in their order, `features_as_of`, and every feature. The join is DuckDB's, which spills to
 * disk what does not fit into limits.training_memory_mib.
 * @throws Error that names the column, file or value that is wrong, and what is wanted.
 */
export async function makeTrainingSet(options: TrainingSetOptions): Promise<TrainingSet> {
	const { labels, asOf, out, maxAgeMinutes, onProgress = () => undefined } = options;
	const refuse = (what: string) => new Error(`Cannot make a training set: ${what}`);
	const outFormat = formatOf(out, '--out');
	formatOf(labels, '--labels');
	if (!existsSync(labels)) throw refuse(`there is no file "${labels}"`);
	if (resolve(labels) === resolve(out)) throw refuse('--out is the file of the labels');
	if (!existsSync(dirname(resolve(out)))) throw refuse(`there is no directory "${dirname(resolve(out))}"`);
	const folder = mkdtempSync(join(tmpdir(), 'surgecast-training-set-'));
	const instance = await DuckDBInstance.create(':memory:', {
		memory_limit: `${limits.training_memory_mib}MiB`,
		temp_directory: join(folder, 'spilled'),
		autoinstall_known_extensions: 'false', // nothing is fetched
	});
	const connection = await instance.connect();
	try {
		await connection.run("SET TimeZone = 'UTC'");
		const described = z.object({ column_name: z.string(), column_type: z.string() });
		const columnsOf = async (asText: readonly string[]) => {
			try {
				return await rowsOf(connection, `DESCRIBE SELECT * FROM ${readerOf(labels, asText)}`, described);
			} catch (cause) {
				throw new Error(`Cannot make a training set: "${labels}" cannot be read: ${(cause as Error).message.split('\n')[0]}`, { cause });
			}
		};
		const names = (await columnsOf([])).map(({ column_name }) => column_name);
		for (const wanted of ['region_id', asOf])
			if (!names.includes(wanted)) throw refuse(`"${labels}" has no column "${wanted}", only ${names.map((one) => `"${one}"`).join(', ')}`);
		if (asOf === 'region_id') throw refuse('--as-of is region_id, wanted is a column of times');
		const taken = new Set<string>([TIME, ...featureNames, '_row', '_at']);
		for (const column of names)
			if (taken.has(column.toLowerCase())) throw refuse(`column "${column}" of "${labels}" has a name of the result's own; give it another one`);
		const columns = await columnsOf(['region_id', asOf]);
		const region = columns.find(({ column_name }) => column_name === 'region_id');
		if (region?.column_type !== 'VARCHAR') throw refuse(`column "region_id" of "${labels}" is of type ${region?.column_type}, wanted is text`);
		const time = timeOf(asOf, columns.find(({ column_name }) => column_name === asOf)?.column_type ?? '');

		onProgress(`reading ${labels}`);
		try {
			await connection.run(`CREATE TEMP TABLE labels AS SELECT *, row_number() OVER () AS _row, ${time} AS _at FROM ${readerOf(labels, ['region_id', asOf])}`);
		} catch (cause) {
			throw new Error(`Cannot make a training set: "${labels}" cannot be read: ${(cause as Error).message.split('\n')[0]}`, { cause });
		}
		const [span] = await rowsOf(
			connection,
			'SELECT count(*)::INTEGER AS rows, count(*) FILTER (_at IS NULL)::INTEGER AS bad, (min(_at) // 1000)::DOUBLE AS first, (max(_at) // 1000)::DOUBLE AS last FROM labels',
			z.object({ rows: z.int(), bad: z.int(), first: z.number().nullable(), last: z.number().nullable() }),
		);
		if (!span || span.rows === 0) throw refuse(`"${labels}" has no rows`);
		if (span.bad > 0 || span.first === null || span.last === null) {
			const shown = await rowsOf(
				connection,
				`SELECT _row::INTEGER AS row, ${name(asOf)}::VARCHAR AS value FROM labels WHERE _at IS NULL ORDER BY _row LIMIT ${limits.training_named_max}`,
				z.object({ row: z.int(), value: z.string().nullable() }),
			);
			const told = shown
				.map(({ row, value }) => `row ${row} has ${value === null ? 'none' : JSON.stringify(value.slice(0, limits.quoted_chars_max))}`)
				.join(', ');
			throw refuse(`${span.bad} of ${span.rows} times of column "${asOf}" cannot be read: ${told}; wanted are times like 2026-01-11T10:30:00+08:00`);
		}

		const dayOf = (instant: number) => new Date(Math.min(Math.max(instant, 0), 8.64e15)).toISOString().slice(0, 10);
		const store = openFileStore(options.store);
		const files = await collectFinals(store, {
			first: maxAgeMinutes === null ? '' : dayOf(span.first - maxAgeMinutes * 60_000),
			last: dayOf(span.last),
			directory: typeof options.store === 'string' ? options.store : null,
			folder,
			onProgress: (done, all) => onProgress(`fetched ${done} of ${all} files`),
		});
		if (files.length === 0) {
			const range =
				maxAgeMinutes === null
					? `of ${dayOf(span.last)} or before`
					: `from ${dayOf(span.first - Math.ceil(maxAgeMinutes / 1440) * DAY_MS)} to ${dayOf(span.last)}`;
			throw refuse(`the offline store ${store.place} has no finals ${range}; labels reach from ${dayOf(span.first)} to ${dayOf(span.last)}`);
		}

		onProgress(`joining ${span.rows} labels with the finals of ${files.length} files`);
		// Microseconds on both sides: whatever type a reader makes of a time column, an instant is an instant.
		const finals = `SELECT region_id AS _region, epoch_us(as_of) AS _as_of, ${featureNames.map(name).join(', ')} FROM read_parquet(${list(files)}, hive_partitioning = false)`;
		await connection.run(`CREATE TEMP VIEW finals AS ${finals}`);
		const fresh = maxAgeMinutes === null ? '_as_of IS NOT NULL' : `labels._at - _as_of <= ${Math.round(maxAgeMinutes * 60e6)}`;
		await connection.run(`
			CREATE TEMP TABLE joined AS
			SELECT labels._row, ${names.map((column) => `labels.${name(column)}`).join(', ')}, CASE WHEN ${fresh} THEN make_timestamptz(_as_of) END AS ${TIME},
				${featureNames.map((feature) => `CASE WHEN ${fresh} THEN finals.${name(feature)} END AS ${name(feature)}`).join(', ')}
			FROM labels ASOF LEFT JOIN finals ON labels.region_id = finals._region AND labels._at >= finals._as_of`);
		const [counted] = await rowsOf(
			connection,
			`SELECT (SELECT count(*) FROM joined)::INTEGER AS rows, (SELECT count(${TIME}) FROM joined)::INTEGER AS matched, (SELECT count(*) FROM finals)::DOUBLE AS finals`,
			z.object({ rows: z.int(), matched: z.int(), finals: z.number() }),
		);
		if (counted?.rows !== span.rows) throw new Error(`The join made ${counted?.rows} rows of ${span.rows} labels`);
		const unfinished = `${out}.${process.pid}.${outFormat}`;
		try {
			await connection.run(
				`COPY (SELECT * EXCLUDE (_row) FROM joined ORDER BY _row) TO ${text(unfinished)} (FORMAT ${outFormat}${outFormat === 'csv' ? ', HEADER' : ''})`,
			);
			renameSync(unfinished, out);
		} finally {
			rmSync(unfinished, { force: true });
		}
		return { rows: counted.rows, matched: counted.matched, finals: counted.finals, files: files.length };
	} finally {
		connection.closeSync();
		instance.closeSync();
		rmSync(folder, { recursive: true, force: true });
	}
}
