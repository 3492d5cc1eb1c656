import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetMetadata } from 'hyparquet';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FEATURE_SET, featureNames } from '#schemas/feature.ts';
import { limits } from '#schemas/limits.ts';
import { encodeTick } from '../avro/codec.ts';
import { freshLog, MINUTE, START, until } from '../features/river.test-support.ts';
import type { EventLog } from '../log/event-log.ts';
import { directoryStore } from './directory-store.ts';
import type { FileStore } from './file-store.ts';
import { filesOf, final, record, rowOf, rowsOf } from './finals.test-support.ts';
import { finalsFiles, finalsKey } from './finals-key.ts';
import { FinalsPart } from './finals-part.ts';
import { type OfflineSink, openOfflineSink } from './offline-sink.ts';

const HOUR = 60 * MINUTE;
let river: ReturnType<typeof freshLog>;
let directory: string;
let store: FileStore & { away: boolean };
let sinks: OfflineSink[];
beforeEach(() => {
	river = freshLog(2);
	directory = mkdtempSync(join(tmpdir(), 'surgecast-offline-'));
	store = failing(directoryStore(directory));
	sinks = [];
});
afterEach(async () => {
	for (const sink of sinks) await sink.stop();
	await river.log.close();
	river.remove();
	rmSync(directory, { recursive: true, force: true });
});

/** A store that can be away. */
function failing(inner: FileStore): FileStore & { away: boolean } {
	const mine = {
		...inner,
		away: false,
		async write(key: string, bytes: Uint8Array) {
			if (mine.away) throw new Error('no store');
			await inner.write(key, bytes);
		},
	};
	return mine;
}
async function open(more: { log?: EventLog; troubles?: string[]; part_rows?: number; partial_ms?: number } = {}): Promise<OfflineSink> {
	const { log = river.log, troubles, ...rest } = more;
	const sink = await openOfflineSink({ log, store, onTrouble: (text) => troubles?.push(text), retry_ms: 10, ...rest });
	sinks.push(sink);
	sink.start();
	return sink;
}
const append = (...signals: ReturnType<typeof final>[]) => river.log.append(signals.map((signal) => record(signal)));
const positionOf = async (partition = 0) => (await river.log.join('offline-store', ['demand-signals'])).position('demand-signals', partition);
const minutes = (from: number, count: number, regions = ['r-2', 'r-1']) =>
	Array.from({ length: count }, (_, n) => regions.map((region) => final(region, from + n * MINUTE))).flat();
const sorted = (signals: ReturnType<typeof final>[]) =>
	signals.toSorted((a, b) => (a.region_id < b.region_id ? -1 : a.region_id > b.region_id ? 1 : a.as_of - b.as_of)).map(rowOf);
const keyOf = (begins: number, more: { partition?: number; partial?: boolean } = {}) => finalsKey({ begins, partition: 0, partial: false, ...more });

test('finalsKey() names day and hour of UTC, the partition, and the minute at which the file begins', () => {
	expect(keyOf(START)).toBe('finals/day=2026-01-11/utc_hour=10/shard=0-00.parquet');
	expect(keyOf(Date.parse('2015-12-31T23:59:30-05:00'), { partition: 12, partial: true })).toBe(
		'finals/day=2016-01-01/utc_hour=04/shard=12-59.partial.parquet',
	);
});

test('finalsFiles() takes a part of an hour only while the whole is not there, and nothing that is no file of finals', () => {
	const [whole, part, other] = [keyOf(START), keyOf(START, { partial: true }), keyOf(START + HOUR, { partial: true })];
	expect(finalsFiles([whole, part, other, 'finals/day=2026-01-11/note.txt', 'finals/day=1/utc_hour=10/shard=0-00.parquet'])).toEqual([
		{ key: whole, day: '2026-01-11' },
		{ key: other, day: '2026-01-11' },
	]);
});

test('writes an hour when the first final of a later one comes: rows by region and time, every feature, nothing live', async () => {
	const hour = minutes(START, 60);
	await append(...hour, final('r-1', START, { kind: 'live', values: featureNames.map(() => 9) }));
	const sink = await open();
	await until('all is read', () => sink.counts.finals === 120);
	expect(await store.list('')).toEqual([]);
	expect(await positionOf()).toBe(0);
	await append(final('r-1', START + HOUR));
	await until('the file', () => sink.counts.files === 1);
	expect(await store.list('')).toEqual([keyOf(START)]);
	const bytes = (await store.read(keyOf(START)))!;
	expect(await rowsOf(bytes)).toEqual(sorted(hour));
	const metadata = parquetMetadata(new Uint8Array(bytes).buffer);
	expect(metadata.key_value_metadata).toEqual(expect.arrayContaining([{ key: 'feature_set', value: FEATURE_SET }]));
	expect(metadata.schema.slice(1).map(({ name, type }) => [name, type])).toEqual([
		['region_id', 'BYTE_ARRAY'],
		['as_of', 'INT64'],
		...featureNames.map((name) => [name, 'DOUBLE']),
	]);
	await until('the position is that of the hour that is open', async () => (await positionOf()) === 121);
});

test('has a final once, however often it comes, and takes no file apart for a repeat of an earlier hour', async () => {
	const hour = minutes(START, 60);
	// The worker died and made the last minutes again: within the hour, and behind the first final of the next.
	await append(...hour, ...minutes(START + 58 * MINUTE, 2), final('r-1', START + HOUR), ...minutes(START + 59 * MINUTE, 1), final('r-1', START + 2 * HOUR));
	const sink = await open();
	await until('two files', () => sink.counts.files === 2);
	expect(await rowsOf((await store.read(keyOf(START)))!)).toEqual(sorted(hour));
	expect(await rowsOf((await store.read(keyOf(START + HOUR)))!)).toEqual([rowOf(final('r-1', START + HOUR))]);
	expect([sink.counts.finals, sink.counts.repeated]).toEqual([122, 6]);
});

test('parts an hour of too many rows where a minute ends, in files named by their first minute', async () => {
	const hour = minutes(START, 60);
	await append(...hour, final('r-1', START + HOUR));
	const sink = await open({ part_rows: 50 });
	await until('three files', () => sink.counts.files === 3);
	const files = await filesOf(store);
	expect([...files.keys()]).toEqual([keyOf(START), keyOf(START + 25 * MINUTE), keyOf(START + 50 * MINUTE)]);
	const all = (await Promise.all([...files.values()].map(rowsOf))).flat();
	expect(all.length).toBe(120);
	expect(new Set(all.map(({ region_id, as_of }) => `${region_id} ${as_of}`)).size).toBe(120);
});

test('writes what there is of an hour at a stop, beside its place, and the whole one in its stead later', async () => {
	await append(...minutes(START, 10));
	const first = await open();
	await until('all is read', () => first.counts.finals === 20);
	await first.stop();
	expect(await store.list('')).toEqual([keyOf(START, { partial: true })]);
	expect(await rowsOf((await store.read(keyOf(START, { partial: true })))!)).toEqual(sorted(minutes(START, 10)));
	await append(...minutes(START + 10 * MINUTE, 50), final('r-1', START + HOUR));
	const second = await open();
	await until('the file', () => second.counts.files === 1);
	expect(await store.list('')).toEqual([keyOf(START)]);
	expect(await rowsOf((await store.read(keyOf(START)))!)).toEqual(sorted(minutes(START, 60)));
});

test('writes what there is of an hour every partial_ms', async () => {
	await append(...minutes(START, 10));
	await open({ partial_ms: 0 });
	await until('the part', async () => (await store.list('')).length === 1);
	await append(...minutes(START + 10 * MINUTE, 1));
	await until('the longer part', async () => (await rowsOf((await store.read(keyOf(START, { partial: true })))!)).length === 22);
});

test('keeps everything while the store is away, and loses nothing of what it had read by then', async () => {
	const troubles: string[] = [];
	store.away = true;
	await append(...minutes(START, 60));
	const sink = await open({ troubles });
	await until('all is read', () => sink.counts.finals === 120);
	await append(...minutes(START + HOUR, 60), final('r-1', START + 2 * HOUR));
	await until('failures', () => sink.counts.failures > 2);
	expect(troubles).toEqual(['The offline store takes nothing; all waits in the log: no store']);
	expect(await positionOf()).toBe(0);
	store.away = false;
	await until('both files', () => sink.counts.files === 2);
	expect(await rowsOf((await store.read(keyOf(START)))!)).toEqual(sorted(minutes(START, 60)));
	expect(await rowsOf((await store.read(keyOf(START + HOUR)))!)).toEqual(sorted(minutes(START + HOUR, 60)));
	expect(sink.trouble()).toBeNull();
	expect([sink.counts.finals, sink.counts.repeated]).toEqual([241, 0]);
});

test('takes a partition back from another member: what it had written stays, and what it held before a gap is let go', async () => {
	// A log whose group can be told to give out its partitions anew, to somebody who moved on.
	let change: (() => void) | undefined;
	let position: number | undefined;
	const log: EventLog = {
		...river.log,
		async join(...group) {
			const member = await river.log.join(...group);
			return {
				...member,
				onChange(listener) {
					change = listener;
					return member.onChange(listener);
				},
				position: async (...place) => position ?? member.position(...place),
			};
		},
	};
	await append(...minutes(START, 30));
	const sink = await open({ log });
	await until('half an hour is read', () => sink.counts.finals === 60);
	await append(...minutes(START + 30 * MINUTE, 30), ...minutes(START + HOUR, 60), final('r-1', START + 2 * HOUR));
	await until('both files', () => sink.counts.files === 2);
	const before = await filesOf(store);
	// The other one had gone back to the start, and it comes again: these are repeats of what is written.
	position = 0;
	change?.();
	await append(final('r-2', START + 2 * HOUR));
	await until('the new one', () => sink.counts.finals === 242);
	expect(await filesOf(store)).toEqual(before);
	expect(sink.counts.files).toBe(2);
	await until('the position is that of the hour that is open', async () => (await positionOf()) === 240);
	// And the other one was ahead by two records: what is held of before the gap is let go, for it is in the other one's file.
	position = (await river.log.end('demand-signals', 0)) + 2;
	change?.();
	await append(...minutes(START + 2 * HOUR + MINUTE, 1), ...minutes(START + 3 * HOUR, 2), final('r-1', START + 4 * HOUR));
	await until('the file behind the gap', () => sink.counts.files === 3);
	expect(await store.list('')).toEqual([keyOf(START), keyOf(START + HOUR), keyOf(START + 3 * HOUR)]);
	expect(await rowsOf((await store.read(keyOf(START + 3 * HOUR)))!)).toEqual(sorted(minutes(START + 3 * HOUR, 2)));
});

test('names and skips what no file can hold, and goes on', async () => {
	const troubles: string[] = [];
	await append(
		final('r-1', START),
		final('r-1', START + MINUTE, { feature_set: 'v0' }),
		final('r-1', START + MINUTE, { values: [1, 2] }),
		final('r-1', Date.now() + 2 * limits.offline_ahead_ms),
		final('r-1', -MINUTE),
	);
	await river.log.append([{ topic: 'demand-signals', partition: 0, key: 'r-1', value: encodeTick(1), timestamp: START }]);
	await append(...minutes(START + MINUTE, 2), final('r-1', START + HOUR));
	const sink = await open({ troubles });
	await until('the file', () => sink.counts.files === 1);
	expect(await rowsOf((await store.read(keyOf(START)))!)).toEqual(sorted([final('r-1', START), ...minutes(START + MINUTE, 2)]));
	await until('all is told', () => troubles.length === 5);
	expect(troubles.toSorted()).toEqual([
		'Final demand-signals/0/1 is not kept: of feature set "v0" with 31 values',
		'Final demand-signals/0/2 is not kept: of feature set "v1" with 2 values',
		expect.stringMatching(/^Final demand-signals\/0\/3 is not kept: as of \d+, ahead of the clock$/),
		`Final demand-signals/0/4 is not kept: as of ${-MINUTE}`,
		'Record demand-signals/0/5 is skipped: a tick does not belong here',
	]);
	expect([sink.counts.refused, sink.counts.unreadable]).toEqual([4, 1]);
});

describe('FinalsPart', () => {
	test('gives the same bytes whatever order its finals came in, over several row groups', async () => {
		const regions = Array.from({ length: 120 }, (_, n) => `r-${n}-${'ü'.repeat(n % 3)}\u0000`);
		const signals = minutes(START, 60, regions);
		const parts = [signals, signals.toReversed(), [...signals, ...signals]].map((own) => {
			const part = new FinalsPart({ offset: 0, begins: START });
			for (const signal of own) part.add(signal);
			return part;
		});
		const [bytes, ...others] = await Promise.all(parts.map((part) => part.toParquet(0)));
		for (const other of others) expect(Buffer.compare(bytes!, other)).toBe(0);
		expect(parquetMetadata(new Uint8Array(bytes!).buffer).row_groups.length).toBe(Math.ceil(7200 / limits.offline_group_rows));
		expect(await rowsOf(bytes!)).toEqual(sorted(signals));
	});
});

test('files are byte for byte those of a run without faults, through kill -9 of the process at any point', async () => {
	const regions = Array.from({ length: 12 }, (_, n) => `r-${n}`);
	for (const partition of [0, 1]) await river.log.append(minutes(START + partition * 7 * MINUTE, 200, regions).map((signal) => record(signal, partition)));
	await river.log.close();
	const run = async (place: string, killAfter: number | undefined): Promise<boolean> => {
		const child = spawn(process.execPath, [join(import.meta.dirname, 'offline-sink.test-process.ts'), river.path, '2', JSON.stringify(place)], {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		const ended = new Promise<boolean>((done) => child.once('exit', (code) => done(code === 0)));
		if (killAfter !== undefined)
			child.stdout.on('data', (chunk: Buffer) => {
				if (chunk.toString().startsWith('open')) setTimeout(() => child.kill('SIGKILL'), killAfter);
			});
		return ended;
	};
	let kills = 0;
	for (const ms of [0, 15, 30, 45, 60, 90, 120]) if (!(await run(directory, ms))) kills += 1;
	expect(await run(directory, undefined)).toBe(true);
	expect(kills).toBeGreaterThan(2);
	// The same log from the start, by a group that knows nothing.
	const copy = freshLog(2);
	for (const partition of [0, 1]) await copy.log.append(minutes(START + partition * 7 * MINUTE, 200, regions).map((signal) => record(signal, partition)));
	await copy.log.close();
	river.remove();
	river = { ...copy, log: copy.reopen() };
	await river.log.close();
	const clean = mkdtempSync(join(tmpdir(), 'surgecast-offline-'));
	expect(await run(clean, undefined)).toBe(true);
	const expected = await filesOf(directoryStore(clean));
	expect(await filesOf(store)).toEqual(expected);
	expect(expected.size).toBeGreaterThan(8);
	const rows = (await Promise.all([...expected.values()].map(rowsOf))).flat();
	expect(rows.length).toBe(2 * 200 * regions.length);
	rmSync(clean, { recursive: true });
	river.log = river.reopen();
}, 60_000);
