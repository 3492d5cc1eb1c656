import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import * as fc from 'fast-check';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { parquetWriteFile } from 'hyparquet-writer';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { featureNames } from '#schemas/feature.ts';
import { directoryStore } from '#stream/offline/directory-store.ts';
import { final } from '#stream/offline/finals.test-support.ts';
import { finalsKey, hourOf } from '#stream/offline/finals-key.ts';
import { FinalsPart } from '#stream/offline/finals-part.ts';
import { makeTrainingSet, type TrainingSetOptions } from './training-set.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const START = Date.UTC(2026, 0, 11, 22);
type Final = ReturnType<typeof final>;

const directory = mkdtempSync(join(tmpdir(), 'surgecast-training-set-test-'));
afterAll(() => rmSync(directory, { recursive: true }));
let made = 0;
/** A path that nothing is at. */
const fresh = (name: string) => join(directory, `${++made}-${name}`);

/** A store of these finals, by the hour, as the sink writes them. */
async function storeOf(finals: readonly Final[], { partial = false } = {}): Promise<string> {
	const place = fresh('store');
	for (const [, own] of Map.groupBy(finals, ({ as_of }) => hourOf(as_of))) {
		const begins = Math.min(...own.map(({ as_of }) => as_of));
		const part = new FinalsPart({ offset: 0, begins });
		for (const one of own) part.add(one);
		await directoryStore(place).write(finalsKey({ begins, partition: 0, partial }), await part.toParquet(0));
	}
	return place;
}

interface Label {
	region_id: string;
	at: string;
	label: number;
}
const quoted = (value: unknown) => `"${String(value).replaceAll('"', '""')}"`;
function csvOf(labels: readonly object[], path = fresh('labels.csv')): string {
	const names = Object.keys(labels[0] ?? {});
	writeFileSync(path, `${[names, ...labels.map((label) => Object.values(label))].map((row) => row.map(quoted).join(',')).join('\n')}\n`);
	return path;
}

type Row = Record<string, unknown>;
async function rowsOf(path: string): Promise<Row[]> {
	return (await parquetReadObjects({ file: new Uint8Array(readFileSync(path)).buffer, compressors })) as Row[];
}
async function make(options: Partial<TrainingSetOptions> & Pick<TrainingSetOptions, 'labels' | 'store'>): Promise<{ rows: Row[]; told: object }> {
	const out = fresh('out.parquet');
	const told = await makeTrainingSet({ asOf: 'at', out, maxAgeMinutes: null, ...options });
	return { rows: await rowsOf(out), told };
}

/** The join as it is meant, without any cleverness. */
function bruteForce(labels: readonly Label[], finals: readonly Final[], maxAgeMs = Number.POSITIVE_INFINITY): Row[] {
	return labels.map(({ region_id, at, label }) => {
		let newest: Final | undefined;
		for (const one of finals) if (one.region_id === region_id && one.as_of <= Date.parse(at) && !(newest && newest.as_of >= one.as_of)) newest = one;
		if (newest && Date.parse(at) - newest.as_of > maxAgeMs) newest = undefined;
		return {
			region_id,
			at,
			label,
			features_as_of: newest ? new Date(newest.as_of) : null,
			...Object.fromEntries(featureNames.map((name, n) => [name, newest?.values[n] ?? null])),
		};
	});
}
const plain = (rows: Row[]) => rows.map((row) => ({ ...row, label: Number(row['label']), features_as_of: row['features_as_of'] ?? null }));

/** An instant as somebody somewhere writes it. */
function written(instant: number, offsetMinutes: number): string {
	const local = new Date(instant + offsetMinutes * MINUTE).toISOString().slice(0, -1);
	const size = Math.abs(offsetMinutes);
	const two = (n: number) => String(n).padStart(2, '0');
	return offsetMinutes === 0 ? `${local}Z` : `${local}${offsetMinutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

describe('makeTrainingSet()', () => {
	const odd = ['r-1', '007', 'a,b"c', "o'neil", 'ü ß', ' blank ', 'NULL', '2026-01-11', "'; drop table labels; --", '1e5'];

	test('gives each label what a search by hand gives: ties, odd ids, offsets, labels without features, in the order of the labels', async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.uniqueArray(fc.record({ region: fc.constantFrom(...odd), minute: fc.integer({ min: 0, max: 300 }) }), {
					minLength: 1,
					maxLength: 120,
					selector: ({ region, minute }) => `${minute} ${region}`,
				}),
				fc.array(
					fc.record({
						region: fc.constantFrom(...odd, 'unknown'),
						ms: fc.oneof(
							fc.integer({ min: -5, max: 305 }).map((minute) => minute * MINUTE), // exactly at a final, often
							fc.integer({ min: -5 * MINUTE, max: 305 * MINUTE }),
						),
						offset: fc.constantFrom(0, 480, -300, 345, -570),
					}),
					{ minLength: 1, maxLength: 60 },
				),
				fc.option(fc.integer({ min: 0, max: 200 }), { nil: null }),
				async (points, wanted, maxAgeMinutes) => {
					const finals = points.map(({ region, minute }) => final(region, START + minute * MINUTE));
					const labels = wanted.map(({ region, ms, offset }, n) => ({ region_id: region, at: written(START + ms, offset), label: n }));
					const store = await storeOf(finals);
					const file = csvOf(labels);
					const expected = bruteForce(labels, finals, maxAgeMinutes === null ? undefined : maxAgeMinutes * MINUTE);
					// Where no file can hold an answer it is told, and nothing is made.
					const last = Math.max(...wanted.map(({ ms }) => START + ms));
					const first = Math.min(...wanted.map(({ ms }) => START + ms)) - (maxAgeMinutes ?? 1e9) * MINUTE;
					const dayOf = (instant: number) => new Date(Math.max(instant, 0)).toISOString().slice(0, 10);
					const found = finals.some(({ as_of }) => dayOf(as_of) >= dayOf(first) && dayOf(as_of) <= dayOf(last));
					if (!found) {
						await expect(make({ labels: file, store, maxAgeMinutes })).rejects.toThrow('has no finals');
						return;
					}
					const { rows, told } = await make({ labels: file, store, maxAgeMinutes });
					expect(plain(rows)).toEqual(expected);
					expect(told).toMatchObject({ rows: labels.length, matched: expected.filter((row) => row['features_as_of'] !== null).length });
				},
			),
			{ numRuns: 40 },
		);
	}, 120_000);

	test('never tells a label of what came after it, though it be a millisecond', async () => {
		const leak = final('r-1', START + 10 * MINUTE, { values: featureNames.map(() => 999) });
		const store = await storeOf([final('r-1', START), leak]);
		const labels = [-1, 0, 1].map((ms, n) => ({ region_id: 'r-1', at: written(leak.as_of + ms, 0), label: n }));
		const { rows } = await make({ labels: csvOf(labels), store });
		expect(rows.map((row) => row['booking_count_5min'] === 999)).toEqual([false, true, true]);
	});

	test('looks into what is there of an hour in part, and has a final once that stands in two files', async () => {
		const finals = [final('r-1', START), final('r-1', START + MINUTE)];
		const labels = csvOf([{ region_id: 'r-1', at: written(START + HOUR, 0), label: 1 }]);
		const store = await storeOf(finals, { partial: true });
		expect((await make({ labels, store })).told).toEqual({ rows: 1, matched: 1, finals: 2, files: 1 });
		// The log began again in the middle of the hour.
		const part = new FinalsPart({ offset: 9, begins: START + MINUTE });
		part.add(finals[1]!);
		await directoryStore(store).write(finalsKey({ begins: part.begins, partition: 0, partial: false }), await part.toParquet(0));
		expect((await make({ labels, store })).rows.map((row) => row['features_as_of'])).toEqual([new Date(START + MINUTE)]);
	});

	test('takes times without an offset as those of UTC, whatever zone the machine is in, and dates as their midnight', async () => {
		const store = await storeOf([final('r-1', START)]);
		const labels = csvOf(
			['2026-01-11 21:59:59.999', '2026-01-11 22:00:00', '2026-01-12', '2026-01-11T17:00:00-05:00'].map((at, n) => ({ region_id: 'r-1', at, label: n })),
		);
		const program = `import { makeTrainingSet } from './infra/training-set/training-set.ts';
			console.log(JSON.stringify(await makeTrainingSet(JSON.parse(process.argv[1]))));`;
		const options = { labels, asOf: 'at', out: fresh('out.parquet'), store, maxAgeMinutes: null };
		const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', program, JSON.stringify(options)], {
			cwd: join(import.meta.dirname, '../..'),
			encoding: 'utf8',
			env: { ...process.env, TZ: 'Asia/Kolkata' },
		});
		expect(stderr).toBe('');
		expect(JSON.parse(stdout)).toMatchObject({ rows: 4, matched: 3 });
		expect((await rowsOf(options.out)).map((row) => row['features_as_of'] ?? null)).toEqual([null, ...Array(3).fill(new Date(START))]);
	});

	test('takes labels as Parquet with real times, and writes CSV', async () => {
		const store = await storeOf([final('r-1', START)]);
		const labels = fresh('labels.parquet');
		parquetWriteFile({
			filename: labels,
			columnData: [
				{ name: 'region_id', data: ['r-1', 'r-2'], type: 'STRING' },
				{ name: 'at', data: [new Date(START), new Date(START)], type: 'TIMESTAMP' },
				{ name: 'took, "min"', data: [1.5, 2.5], type: 'DOUBLE' },
			],
		});
		const out = fresh('out.csv');
		const told = await makeTrainingSet({ labels, asOf: 'at', out, store, maxAgeMinutes: null });
		expect(told).toMatchObject({ rows: 2, matched: 1 });
		const [head = '', one = '', two = ''] = readFileSync(out, 'utf8').split('\n');
		expect(head).toBe(`region_id,at,"took, ""min""",features_as_of,${featureNames.join(',')}`);
		expect(one.startsWith('r-1,2026-01-11 22:00:00,1.5,2026-01-11 22:00:00+00,')).toBe(true);
		expect(two).toBe(`r-2,2026-01-11 22:00:00,2.5,${','.repeat(featureNames.length)}`);
	});

	describe('says what is wrong, and makes nothing', () => {
		let store: string;
		beforeAll(async () => {
			store = await storeOf([final('r-1', START)]);
		});
		let out: string;
		beforeEach(() => {
			out = fresh('out.parquet');
		});
		const at = written(START, 0);
		const refused = (options: Partial<TrainingSetOptions> & { labels: string }) =>
			makeTrainingSet({ asOf: 'at', out, store, maxAgeMinutes: null, ...options }).then(
				() => 'made',
				(error: unknown) => (error as Error).message.replaceAll(directory, ''),
			);
		const labelsOf = (text: string, name = 'labels.csv') => {
			const path = fresh(name);
			writeFileSync(path, text);
			return path;
		};

		test.each<[string, () => Promise<string>, RegExp]>([
			['a missing file', () => refused({ labels: '/no/such.csv' }), /there is no file "\/no\/such\.csv"/],
			['an unknown extension', () => refused({ labels: '/no/such.xlsx' }), /--labels is "\/no\/such\.xlsx", wanted is a \.csv or \.parquet file/],
			['an unknown extension of the result', () => refused({ labels: csvOf([{ region_id: 'r', at }]), out: '/x/y.json' }), /--out is "\/x\/y\.json"/],
			['no directory for the result', () => refused({ labels: csvOf([{ region_id: 'r', at }]), out: '/no/dir/y.csv' }), /there is no directory "\/no\/dir"/],
			['no region_id', () => refused({ labels: csvOf([{ region: 'r', at }]) }), /has no column "region_id", only "region", "at"/],
			['no time column', () => refused({ labels: csvOf([{ region_id: 'r', at }]), asOf: 'when' }), /has no column "when", only "region_id", "at"/],
			[
				'a column named as a feature',
				() => refused({ labels: csvOf([{ region_id: 'r', at, Hour: 1 }]) }),
				/column "Hour" of ".*" has a name of the result's own/,
			],
			[
				'times that are none',
				() => refused({ labels: csvOf(['yesterday', at, '', 'infinity', '2026-13-01'].map((time) => ({ region_id: 'r', at: time }))) }),
				/4 of 5 times of column "at" cannot be read: row 1 has "yesterday", row 3 has none, row 4 has "infinity"; wanted are times like/,
			],
			['no rows', () => refused({ labels: labelsOf('region_id,at\n') }), /has no rows/],
			['an empty file', () => refused({ labels: labelsOf('') }), /cannot be read|has no column/],
			['rows of unequal width', () => refused({ labels: labelsOf(`region_id,at\nr,${at}\nr,${at},1,2,3\n`) }), /cannot be read|has no column/],
			['no Parquet in a .parquet', () => refused({ labels: labelsOf('x'.repeat(99), 'labels.parquet') }), /cannot be read/],
			[
				'an empty store',
				() => refused({ labels: csvOf([{ region_id: 'r', at }]), store: join(directory, 'nowhere') }),
				/the offline store \/nowhere has no finals/,
			],
			[
				'no finals of its days',
				() => refused({ labels: csvOf([{ region_id: 'r', at: '2025-01-01' }]) }),
				/has no finals of 2025-01-01 or before; labels reach from 2025-01-01/,
			],
			[
				'the labels as the result',
				() => {
					const labels = csvOf([{ region_id: 'r', at }]);
					return refused({ labels, out: labels });
				},
				/--out is the file of the labels/,
			],
		])('%s', async (_, answer, told) => {
			expect(await answer()).toMatch(told);
			expect(readdirSync(directory).filter((name) => name.startsWith(basename(out)))).toEqual([]);
		});
	});
});

test('npm run training-set tells what it made, what it wants, and what is wrong', async () => {
	const store = await storeOf([final('r-1', START)]);
	const labels = csvOf([
		{ region_id: 'r-1', at: written(START, 0), label: 1 },
		{ region_id: 'r-2', at: written(START, 0), label: 2 },
	]);
	const out = fresh('out.csv');
	const run = (...args: string[]) => {
		const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], { encoding: 'utf8' });
		return { status, stdout, stderr };
	};
	const good = run('--labels', labels, '--as-of', 'at', '--out', out, '--store', `file:${store}`, '--max-age', '5');
	expect(good).toEqual({
		status: 0,
		stderr: '',
		stdout: expect.stringMatching(/out\.csv: 2 labels, 1 with features, 1 without; from 1 finals in 1 files, [\d.]+ s\n$/),
	});
	expect(readFileSync(out, 'utf8').split('\n').length).toBe(4);
	expect(run('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('--as-of COLUMN') });
	expect(run('--labels', labels)).toMatchObject({ status: 1, stderr: expect.stringContaining('--as-of is missing') });
	expect(run('--labels', labels, '--as-of', 'at', '--max-age', '-1')).toMatchObject({ status: 1 });
	expect(run('--labels', labels, '--as-of', 'at', '--store', 'ftp://x')).toMatchObject({
		status: 1,
		stderr: expect.stringContaining('OFFLINE_STORE_URL is "ftp://x"'),
	});
	expect(run('--labels', labels, '--as-of', 'at', '--what')).toMatchObject({ status: 1, stderr: expect.stringContaining("Unknown option '--what'") });
	expect(run('--labels', labels, '--as-of', 'at', '--data-dir', join(directory, 'nowhere'))).toMatchObject({
		status: 1,
		stderr: expect.stringMatching(/nowhere\/offline has no finals/),
	});
});
