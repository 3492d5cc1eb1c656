import { expect, test } from 'vitest';
import { FEATURE_SET, featureNames } from '#schemas/feature.ts';
import { type Decoded, encodeEvent, Undecodable } from '../avro/codec.ts';
import { booking } from '../features/river.test-support.ts';
import { decisionOf, forecastOf, snapshotOf } from './clickhouse.test-support.ts';
import { addRows, reasonKind, rowsOf, rowsOfAside } from './clickhouse-rows.ts';
import { addColumn, createTable, type Table, type TableName, tables } from './clickhouse-tables.ts';

const signal = (more: object = {}): Decoded => ({
	kind: 'signal',
	signal: { region_id: 'r', kind: 'final', feature_set: FEATURE_SET, as_of: 60_000, values: featureNames.map((_, at) => at), ...more },
});
const stored = (more: object = {}) => ({ key: 'r', value: new Uint8Array([1]), timestamp: 5, offset: 3, corrupt: false, ...more });

test('rowsOf() an event: its fields in the order of the columns, null where its kind has none', () => {
	const { event } = rowsOf({ kind: 'event', event: booking('b', 7, { user_hash: 'u' }) });
	expect(event).toEqual([['r-0', 'booking', 7, 'b', 7, 'u', ...Array.from({ length: 13 }, () => null)]]);
});

test('rowsOf() a vector: a final is one row with a column a feature; a live one is none', () => {
	const { final } = rowsOf(signal());
	expect(final).toEqual([['r', 60_000, 'v1', ...featureNames.keys()]]);
	expect(tables.final.columns.map(([name]) => name).slice(3)).toEqual(featureNames);
	expect(rowsOf(signal({ kind: 'live' }))).toEqual({});
	expect(() => rowsOf(signal({ feature_set: 'v9' }))).toThrow('features of set "v9", wanted are those of "v1"');
	expect(() => rowsOf(signal({ values: [1] }))).toThrow('1 features, wanted are 31');
});

test('rowsOf() a snapshot: itself, and a row for each horizon of each model; without features no forecast', () => {
	const { snapshot, forecast } = rowsOf({ kind: 'snapshot', snapshot: snapshotOf('s', { as_of: 9, canary: forecastOf('gbm@2', [3, 6, 12]) }) });
	expect(snapshot?.map((row) => row.slice(0, 3))).toEqual([['r-0', 9, 's']]);
	expect(forecast).toHaveLength(6);
	expect(forecast?.[4]).toEqual(['r-0', 9, 'gbm@2', 30, 6, 4, 8, false]);
	expect(rowsOf({ kind: 'snapshot', snapshot: snapshotOf('s') })).toMatchObject({ snapshot: [['r-0', 0, 's', expect.any(String)]], forecast: [] });
});

test('rowsOf() a decision keeps answer and inputs whole; one whose JSON is another is Undecodable, never a crash', () => {
	const record = decisionOf('d', { surge_multiplier: 1.5 });
	const [row] = rowsOf({ kind: 'decision', record }).decision!;
	expect(row?.slice(-2).map((text) => JSON.parse(text as string))).toEqual([record.answer, record.inputs]);
	expect(row).toHaveLength(tables.decision.columns.length);
	for (const broken of [{ answer: null }, { inputs: null }, { answer: {} }])
		expect(() => rowsOf({ kind: 'decision', record: { ...record, ...broken } as never })).toThrow(Undecodable);
	for (const snapshot of [null, {}, { region: { region_id: 'r' }, features: { as_of: 1 }, forecasts: { champion: { model: 'm' } } }])
		expect(() => rowsOf({ kind: 'snapshot', snapshot: snapshot as never })).toThrow(Undecodable);
	expect(rowsOf({ kind: 'tick', now: 1 })).toEqual({});
});

test('rowsOfAside() takes region, id and stamp of an event, else of the record; its source is its identity', () => {
	const event = encodeEvent(booking('b', 7, { ingested_at: 700_008 }));
	const headers = { reason: '700001 ms late', source: 'user-events/3/12' };
	const at = { topic: 'late-events', log: 'L' } as const;
	expect(rowsOfAside(stored({ value: event, headers }), at).aside).toEqual([
		['late-events', 700_008, 'L', 'user-events/3/12', 'r-0', 'booking', 'b', '# ms late', '700001 ms late'],
	]);
	expect(rowsOfAside(stored(), { ...at, topic: 'dead-letter' }).aside).toEqual([
		['dead-letter', 5, 'L', 'dead-letter/0/3', 'r', '', '', 'no reason given', 'no reason given'],
	]);
	const [row] = rowsOfAside(stored({ key: 'r\ud800', headers: { reason: `x${'y'.repeat(5000)}` } }), at).aside!;
	expect([row?.[4], String(row?.[8]).length]).toEqual(['r\ufffd', 1000]);
});

test.each([
	['812 ms late', '# ms late'],
	['stamped 31000 ms before a record ahead of it', 'stamped # ms before a record ahead of it'],
	['unknown region "a: 7"', 'unknown region "…"'],
	['region "x-1" belongs to partition 3', 'region "…" belongs to partition #'],
	['a broken record of schema 1: truncated "buffer"', 'a broken record of schema #'],
	['a weather with temperature_c null', 'a weather with temperature_c null'],
	['-1.5e9 ms ahead of its ingestion', '# ms ahead of its ingestion'],
])('reasonKind(%j) is %j', (reason, kind) => expect(reasonKind(reason)).toBe(kind));

test('addRows() gathers by table and leaves what it adds alone', () => {
	const more = { event: [[1]] };
	const rows = {};
	addRows(rows, more);
	addRows(rows, { event: [[2]], final: [[3]] });
	expect([rows, more]).toEqual([{ event: [[1], [2]], final: [[3]] }, { event: [[1]] }]);
});

test('createTable() of every table: its key and its month are of its own columns, written before anything else', () => {
	for (const name of Object.keys(tables) as TableName[]) {
		const { columns, key, at }: Table = tables[name];
		const names = columns.map(([column]) => column);
		expect(names).toEqual(expect.arrayContaining([...key, at]));
		expect(key).toContain(at); // else a record's repetition might lie in another month, and never meet the first
		expect(createTable(name)).toContain(`ORDER BY (${key.join(', ')})`);
		expect(createTable(name)).toMatch(/stored_at` DateTime\('UTC'\) DEFAULT now\(\) [\s\S]*TTL stored_at \+ INTERVAL 730 DAY/);
	}
	expect(addColumn('final', ['new_one', 'Nullable(Float64)', 'ZSTD(1)'])).toBe(
		'ALTER TABLE `final` ADD COLUMN IF NOT EXISTS `new_one` Nullable(Float64) CODEC(ZSTD(1))',
	);
});
