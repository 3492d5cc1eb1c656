// The log into a real ClickHouse: every record once, whatever comes again.
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { encodeDecision, encodeEvent, encodeTick } from '../avro/codec.ts';
import { booking, freshLog, recordOf, until } from '../features/river.test-support.ts';
import type { Appended, EventLog } from '../log/event-log.ts';
import { appended, countOf, decided, decisionOf, finalOf, freshDatabase, one, snapped, snapshotOf } from './clickhouse.test-support.ts';
import { type ClickHouseSink, openClickHouseSink } from './clickhouse-sink.ts';
import { createTable, type TableName, tables } from './clickhouse-tables.ts';

const DAY_MS = 24 * 3_600_000;
const START = Date.UTC(2026, 0, 11, 10);
const gather = { records_max: 500, ms: 20 };

let river: ReturnType<typeof freshLog>;
let history: Awaited<ReturnType<typeof freshDatabase>>;
let sinks: ClickHouseSink[];
let troubles: string[];
beforeEach(async () => {
	river = freshLog(2);
	history = await freshDatabase(inject('clickhouse'));
	sinks = [];
	troubles = [];
});
afterEach(async () => {
	for (const sink of sinks) await sink.stop();
	await river.log.close();
	river.remove();
	await history.remove();
});

async function open(log: EventLog = river.log, more: Partial<Parameters<typeof openClickHouseSink>[0]> = {}): Promise<ClickHouseSink> {
	const sink = await openClickHouseSink({ place: history.place, log, gather, retry_ms: 50, onTrouble: (text) => troubles.push(text), ...more });
	sinks.push(sink);
	sink.start();
	return sink;
}
/** Everything of the log is in the store and its position has moved. */
async function drained(sink: ClickHouseSink): Promise<void> {
	await sink.drain(30_000);
	expect(sink.trouble()).toBeNull();
}
const bookings = (from: number, to: number, step_ms = 1000): Appended[] =>
	Array.from({ length: to - from }, (_, n) => recordOf(booking(`b-${from + n}`, START + (from + n) * step_ms), 2));
/** A log that hands out members which begin where they please and whose commits lead nowhere: owners that do not know of each other. */
const forgetful = (log: EventLog): EventLog => ({
	...log,
	join: async (...group) => {
		const member = await log.join(...group);
		return { ...member, position: async (topic, partition) => log.start(topic, partition), commit: async () => undefined };
	},
});

describe('openClickHouseSink()', () => {
	test('keeps events, finals, decisions with their snapshots and forecasts, and asides, each field as it was', async () => {
		const event = booking('b-1', START + 123, { user_hash: 'u', product_type: 'standard_ride', metadata: '{"a":"\\u0000 \u{1F600}"}' });
		const rain = {
			event_id: 'w-1',
			event_type: 'weather',
			region_id: 'r-0',
			timestamp: START,
			ingested_at: START,
			temperature_c: -3.25,
			precipitation_mm_h: 0.1,
		};
		const decision = decisionOf('d-1', { decided_at: START + 5, surge_multiplier: 1.2345, amount_minor: 999_999_999_999_999 });
		await river.log.append([
			recordOf(event, 2),
			recordOf(rain as never, 2),
			finalOf(START, { values: { booking_count_1min: 3, ratio_60min: 1 / 3 } }),
			finalOf(START + 1, { kind: 'live' }),
			snapped('s-1', { as_of: START - 1 }),
			snapped('s-none'),
			appended('pricing-decisions', encodeDecision(decision)),
			appended('late-events', encodeEvent(event), { headers: { reason: '700001 ms late', source: 'user-events/0/9' } }),
			appended('dead-letter', new Uint8Array([1, 2]), { key: 'r-9', timestamp: START, headers: { reason: 'no Confluent frame', source: 'user-events/0/10' } }),
			appended('user-events', encodeTick(START)),
		]);
		const sink = await open();
		await drained(sink);
		expect(troubles).toEqual([]);
		const { client } = history;
		expect(await one(client, "SELECT *, toUnixTimestamp64Milli(timestamp) AS at FROM event FINAL WHERE event_id = 'b-1'")).toMatchObject({
			region_id: 'r-0',
			event_type: 'booking',
			at: START + 123,
			user_hash: 'u',
			product_type: 'standard_ride',
			metadata: event.event_type === 'booking' && event.metadata,
			temperature_c: null,
		});
		expect(await one(client, "SELECT * FROM event FINAL WHERE event_type = 'weather'")).toMatchObject({ temperature_c: -3.25, precipitation_mm_h: 0.1 });
		expect(await one(client, 'SELECT * FROM final FINAL')).toMatchObject({ feature_set: 'v1', booking_count_1min: 3, ratio_60min: 1 / 3, hour: null });
		expect(await countOf(client, 'final')).toBe(1);
		const stored = await one<Record<string, string>>(client, 'SELECT *, toUnixTimestamp64Milli(decided_at) AS at FROM decision FINAL');
		expect(stored).toMatchObject({ at: START + 5, surge_multiplier: 1.2345, amount_minor: 999_999_999_999_999, currency: 'SGD', snapshot_id: 's' });
		expect([JSON.parse(stored['answer']!), JSON.parse(stored['inputs']!)]).toEqual([decision.answer, decision.inputs]);
		const { body } = await one<{ body: string }>(client, "SELECT body FROM snapshot FINAL WHERE snapshot_id = 's-1'");
		expect(JSON.parse(body)).toEqual(snapshotOf('s-1', { as_of: START - 1 }));
		expect(await countOf(client, 'snapshot')).toBe(2);
		expect(await countOf(client, 'forecast')).toBe(3);
		expect(await one(client, "SELECT * FROM aside FINAL WHERE topic = 'late-events'")).toMatchObject({ kind: '# ms late', event_id: 'b-1', region_id: 'r-0' });
		expect(await one(client, "SELECT * FROM aside FINAL WHERE topic = 'dead-letter'")).toMatchObject({
			kind: 'no Confluent frame',
			event_id: '',
			region_id: 'r-9',
		});
	});

	test('has each record once after ranges came again and overlapped, in the log and from it', async () => {
		await river.log.append([...bookings(0, 700), ...bookings(300, 500)]); // resends lie in the log, too
		const first = await open(forgetful(river.log));
		await drained(first);
		await first.stop();
		sinks = [];
		await river.log.append([...bookings(700, 1000), ...Array.from({ length: 50 }, () => snapped('s', { as_of: START })), decided('d'), decided('d')]);
		const second = await open(forgetful(river.log)); // reads from the start again, in ranges of other ends
		await drained(second);
		expect(second.counts.moved).toBeGreaterThan(1000);
		expect(await countOf(history.client, 'event')).toBe(1000);
		expect(await one(history.client, 'SELECT uniqExact(event_id) AS n FROM event FINAL')).toEqual({ n: 1000 });
		expect([await countOf(history.client, 'snapshot'), await countOf(history.client, 'forecast'), await countOf(history.client, 'decision')]).toEqual([
			1, 3, 1,
		]);
		await history.client.command({ query: 'OPTIMIZE TABLE event FINAL' });
		expect(await one(history.client, 'SELECT count() AS n FROM event')).toEqual({ n: 1000 });
	});

	test('two owners that do not know of each other write beside each other, and make the tables at the same time', async () => {
		await river.log.append(bookings(0, 2000));
		const both = await Promise.all([open(forgetful(river.log)), open(forgetful(river.log), { gather: { records_max: 300, ms: 1 } })]);
		for (let n = 0; n < 10; n++) await river.log.append(bookings(2000 + n * 50, 2050 + n * 50));
		for (const sink of both) await drained(sink);
		expect(both.map((sink) => sink.counts.moved)).toEqual([2500, 2500]);
		expect(await countOf(history.client, 'event')).toBe(2500);
		expect(troubles).toEqual([]);
	});

	test('goes on after dying between insert and commit', async () => {
		await river.log.append([...bookings(0, 300), finalOf(START)]);
		const dying: EventLog = { ...river.log, join: async (...group) => ({ ...(await river.log.join(...group)), commit: () => new Promise(() => undefined) }) };
		(await openClickHouseSink({ place: history.place, log: dying, gather })).start();
		await until('the first owner has inserted', async () => (await countOf(history.client, 'event').catch(() => 0)) === 300);
		await river.log.append(bookings(300, 400));
		await drained(await open());
		expect([await countOf(history.client, 'event'), await countOf(history.client, 'final')]).toEqual([400, 1]);
		const member = await river.log.join('history-to-clickhouse', ['user-events']);
		const positions = await Promise.all([0, 1].map((partition) => member.position('user-events', partition)));
		expect(positions[0]! + positions[1]!).toBe(400);
		await member.leave();
	});

	test('a record that ClickHouse does not take is named and left out; those around it are not', async () => {
		const poisoned = decisionOf('d-poison', { decided_at: START });
		const huge = decisionOf('d-huge', { decided_at: START, surge_multiplier: 1e9 });
		const empty = decisionOf('d-empty', { decided_at: START });
		const values = Array.from({ length: 40 }, (_, n) => decided(`d-${n}`, { decided_at: START + n }));
		// Its columns of the log are whole, what it carries as JSON is not.
		const garbled = (record: typeof poisoned, field: string) => {
			const text = Buffer.from(encodeDecision(record)).toString('latin1');
			return appended('pricing-decisions', Buffer.from(text.replace(`"${field}"`, `"${'x'.repeat(field.length)}"`), 'latin1'));
		};
		values.splice(7, 0, garbled(poisoned, 'surge_multiplier'));
		values.splice(20, 0, appended('pricing-decisions', encodeDecision(huge)));
		values.push(garbled(empty, 'versions'));
		await river.log.append(values);
		const sink = await open();
		await drained(sink);
		expect(await countOf(history.client, 'decision')).toBe(40);
		expect(sink.counts).toMatchObject({ refused: 2, unreadable: 1, failures: 0 });
		expect(troubles.filter((text) => text.includes('"d-poison"'))).toEqual([
			expect.stringMatching(/^A row of "decision" is left out, region_id "r-0", .*null/),
		]);
		expect(troubles.filter((text) => text.includes('"d-huge"'))).toEqual([expect.stringMatching(/decimal value/)]);
		expect(troubles.filter((text) => text.includes('is skipped'))).toEqual([
			expect.stringMatching(/^Record pricing-decisions\/0\/42 is skipped: its body has not what a decision has/),
		]);
	});

	test('events of every month and of years without reason are taken', async () => {
		const times = Array.from({ length: 120 }, (_, n) => Date.UTC(2000, n));
		times.push(Date.UTC(2299, 11), Date.UTC(1900, 1), -62_135_596_800_000, 253_402_300_799_000);
		await river.log.append(times.map((at, n) => recordOf(booking(`b-${n}`, at, { ingested_at: START }), 2)));
		await drained(await open());
		expect(await countOf(history.client, 'event')).toBe(124);
		expect(troubles).toEqual([]);
	});

	test('a new log whose offsets begin again is no repetition of the old one', async () => {
		await river.log.append([
			...bookings(0, 10),
			appended('late-events', bookings(0, 1)[0]!.value, { headers: { reason: '1 ms late', source: 'user-events/0/0' } }),
		]);
		await drained(await open());
		const other = freshLog(2);
		try {
			await other.log.append([
				...bookings(10, 20),
				appended('late-events', bookings(0, 1)[0]!.value, { headers: { reason: '2 ms late', source: 'user-events/0/0' } }),
			]);
			const sink = await open(other.log);
			await drained(sink);
			expect([await countOf(history.client, 'event'), await countOf(history.client, 'aside')]).toEqual([20, 2]);
			await sink.stop();
			sinks.pop();
		} finally {
			await other.log.close();
			other.remove();
		}
	});

	test('waits, by name, while a table is not what it should be, and loses nothing', async () => {
		await history.client.command({ query: createTable('event').replace('`event_id` String', '`event_id` FixedString(3)') });
		await river.log.append(bookings(0, 100));
		const sink = await open();
		await until('the difference is told', () => sink.trouble() !== null);
		expect(sink.trouble()).toContain('Cannot write the table "event": its column "event_id" is FixedString(3), wanted is String');
		expect(sink.behind()[0]).toMatchObject({ what: 'the history in ClickHouse', cause: sink.trouble() });
		await history.client.command({ query: 'DROP TABLE event SYNC' });
		await sink.drain(20_000);
		expect(await countOf(history.client, 'event')).toBe(100);
		expect(sink.counts.refused).toBe(0);
	});

	test('a table that is dropped under it is made again; what came before is gone, what comes is there', async () => {
		await river.log.append(bookings(0, 10));
		const sink = await open();
		await drained(sink);
		await history.client.command({ query: 'DROP TABLE event SYNC' });
		await river.log.append(bookings(10, 15));
		await sink.drain(20_000);
		expect(await countOf(history.client, 'event')).toBe(5);
	});

	test('takes the window of insert tokens from a table of before: a server that dies may have noted a token without its rows', async () => {
		const before = createTable('event').replace('non_replicated_deduplication_window = 0', 'non_replicated_deduplication_window = 1000');
		expect(before).not.toBe(createTable('event'));
		await history.client.command({ query: before });
		await river.log.append(bookings(0, 1));
		await drained(await open());
		const about = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'event'";
		expect(await one(history.client, about)).toEqual({ engine_full: expect.stringContaining('non_replicated_deduplication_window = 0,') });
	});

	test('adds a column that a table of before lacks, and leaves one of a later version alone', async () => {
		await history.client.command({ query: createTable('decision').replace(/\t`experiment`.*\n/, '\t`tip_minor` Int64 DEFAULT 7,\n') });
		await river.log.append([decided('d-1')]);
		await drained(await open());
		expect(await one(history.client, 'SELECT experiment, tip_minor FROM decision')).toEqual({ experiment: null, tip_minor: 7 });
	});

	test('keeps two years from when a row came: a city of long ago stays, rows that came long ago go', async () => {
		await river.log.append([recordOf(booking('of-2015', Date.UTC(2015, 4, 1)), 2), recordOf(booking('now', START), 2)]);
		await drained(await open());
		const long_ago = Math.floor((Date.now() - 731 * DAY_MS) / 1000);
		await history.client.command({
			query:
				"INSERT INTO event (region_id, event_type, timestamp, event_id, ingested_at, stored_at) VALUES ('r-0', 'booking', {at:UInt32}, 'old', {at:UInt32}, {at:UInt32})",
			query_params: { at: long_ago },
		});
		await history.client.command({ query: 'OPTIMIZE TABLE event FINAL' });
		const rows = await history.client.query({ query: 'SELECT event_id FROM event FINAL ORDER BY event_id', format: 'JSONEachRow' });
		expect(await rows.json()).toEqual([{ event_id: 'now' }, { event_id: 'of-2015' }]);
	});

	test('every table replaces rows of one key', async () => {
		await drained(await open());
		await river.log.append(bookings(0, 1));
		await until(
			'the tables',
			async () => (await one<{ n: number }>(history.client, 'SELECT count() AS n FROM system.tables WHERE database = currentDatabase()')).n === 6,
		);
		for (const name of Object.keys(tables) as TableName[])
			expect(await one(history.client, `SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = '${name}'`)).toEqual({
				engine: 'ReplacingMergeTree',
			});
	});
});
