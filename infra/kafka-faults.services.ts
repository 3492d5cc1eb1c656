// The Kafka log while its broker dies, comes back, and loses records: on a broker of its own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type KafkaPlace, kafkaPlace } from '#control-plane/kafka-place.ts';
import { type EventLog, LogUnavailable, PositionLost } from '#stream/log/event-log.ts';
import { kafkaClient } from '#stream/log/kafka-client.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import { PartitionsDiffer } from '#stream/log/partitions-differ.ts';
import { type KafkaBroker, startKafka } from './services/kafka.ts';
import { skipLost } from './skip-lost/skip-lost.ts';

const directory = mkdtempSync(join(tmpdir(), 'surgecast-kafka-'));
let broker: KafkaBroker;
let place: KafkaPlace;
let log: EventLog;
const open = (partitions = 2) => openKafkaLog(place, { partitions, client_id: 'surgecast-test', onTrouble: () => undefined });
beforeAll(async () => {
	broker = await startKafka(directory);
	place = kafkaPlace(broker.url);
	log = await open();
});
afterAll(async () => {
	await log.close();
	await broker.stop();
	rmSync(directory, { recursive: true, force: true });
});

const ALL = { records_max: 100_000, bytes_max: 1 << 30 };
const record = (text: string, partition: number) => ({ topic: 'user-events' as const, partition, key: 'r', value: Buffer.from(text), timestamp: 1 });
/** Appends a record to each partition, and says whether it was answered. */
async function append(name: string): Promise<boolean> {
	try {
		await log.append([record(name, 0), record(name, 1)]);
		return true;
	} catch (error) {
		expect(error).toBeInstanceOf(LogUnavailable);
		return false;
	}
}

test('what was answered is there once and in order through kill -9 of the broker; what was not is refused by name, and it goes on by itself', async () => {
	const member = await log.join('faults', ['user-events']);
	const answered: string[] = [];
	let refused = 0;
	let sent = 0;
	const load = async (until: () => boolean) => {
		while (!until()) {
			const names = Array.from({ length: 8 }, () => `n-${sent++}`);
			const took = await Promise.all(names.map(append)); // so that batches of several sizes are in flight when it dies
			for (const [i, name] of names.entries()) took[i] ? answered.push(name) : refused++;
		}
	};
	await load(() => answered.length >= 100);
	const dying = load(() => refused > 0);
	await broker.kill();
	await dying;
	await expect(member.read('user-events', 0, { ...ALL, offset: 0 }).then(() => log.end('user-events', 0))).rejects.toThrow(LogUnavailable);
	await broker.start();
	const before = answered.length;
	await load(() => answered.length >= before + 100);
	for (const partition of [0, 1]) {
		const found: string[] = [];
		const end = await log.end('user-events', partition);
		while (found.length < end) {
			const records = await member.read('user-events', partition, { ...ALL, offset: found.length }).catch(() => []); // it joins again in its own time
			found.push(...records.map(({ value }) => Buffer.from(value).toString()));
		}
		expect(found.filter((name) => answered.includes(name))).toEqual(answered.filter((name) => found.includes(name)));
		expect(answered.filter((name) => !found.includes(name))).toEqual([]);
		expect(new Set(found).size).toBe(found.length);
	}
	await member.leave();
}, 180_000);

test('read() throws PositionLost when the broker has forgotten what is wanted, and never jumps (F13)', async () => {
	const member = await log.join('forgotten', ['user-events']);
	const end = await log.end('user-events', 0);
	expect((await member.read('user-events', 0, { ...ALL, records_max: 1, offset: 0 }))[0]?.offset).toBe(0);
	const admin = kafkaClient(place, { clientId: 'surgecast-test' }).admin();
	await admin.connect();
	await admin.fetchTopicOffsets('user-events'); // the client must have met the topic
	await admin.deleteTopicRecords({ topic: 'user-events', partitions: [{ partition: 0, offset: String(end - 10) }] });
	await admin.disconnect();
	const other = await open();
	const late = await other.join('late', ['user-events']);
	await expect(late.read('user-events', 0, { ...ALL, offset: 0 })).rejects.toThrow(PositionLost);
	expect((await late.read('user-events', 0, { ...ALL, offset: end - 10 }))[0]?.offset).toBe(end - 10);
	expect(await late.position('user-events', 0)).toBe(end - 10);
	await other.close();

	// A sink that stood there stops at it, too; a human lets it go on, and not while its processes run.
	const sink = await log.join('history-to-clickhouse', ['user-events']);
	await sink.commit('user-events', 0, 3);
	await expect(sink.read('user-events', 0, { ...ALL, offset: 3 })).rejects.toThrow(PositionLost);
	const second = await open();
	const others = skipLost(second, 'history-to-clickhouse', { move: true });
	await expect(others).rejects.toThrow('other processes of it run');
	await sink.leave();
	const lost = [{ topic: 'user-events', partition: 0, position: 3, start: end - 10, end }];
	expect(await skipLost(second, 'history-to-clickhouse', { move: true })).toEqual(lost);
	expect(await skipLost(second, 'history-to-clickhouse', { move: false })).toEqual([]);
	await second.close();
});

test('openKafkaLog() refuses topics of another number of partitions, naming both', async () => {
	await expect(open(4)).rejects.toThrow(PartitionsDiffer);
	await expect(open(4)).rejects.toThrow(/PARTITIONS=4: topic [a-z-]+ was made with 2/);
});
