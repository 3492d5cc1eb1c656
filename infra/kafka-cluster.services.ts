// The Kafka log on three nodes while leaders die under load: nothing acknowledged is lost, order holds, and what cannot be copied is not acknowledged.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { type EventLog, LogUnavailable } from '#stream/log/event-log.ts';
import { kafkaClient } from '#stream/log/kafka-client.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import type { Member } from '#stream/log/member.ts';
import { random } from './city/random.ts';
import { type KafkaCluster, startKafkaCluster } from './services/kafka-cluster.ts';
import { until } from './until.ts';

const SEED = Number(process.env['DRILL_SEED'] ?? Math.floor(Math.random() * 1e9));
const PARTITIONS = 4;
const KEYS = 8;
const TOPIC = 'user-events';
const directory = mkdtempSync(join(tmpdir(), 'surgecast-cluster-'));
let cluster: KafkaCluster;
let log: EventLog;
let member: Member;
/** What a failing test leaves running. */
const underWay: { end(): Promise<void> }[] = [];
beforeAll(async () => {
	console.log(`DRILL_SEED=${SEED}`);
	cluster = await startKafkaCluster(directory);
	const options = { partitions: PARTITIONS, client_id: 'surgecast-test', onTrouble: console.warn };
	log = await openKafkaLog(kafkaPlace(cluster.url), options);
	member = await log.join('cluster', [TOPIC]);
});
afterAll(async () => {
	const ended = Promise.allSettled(underWay.map((each) => each.end()));
	await log?.close();
	await ended;
	await cluster?.stop();
	rmSync(directory, { recursive: true, force: true });
});

interface Sent {
	name: string;
	key: string;
	/** Of its key, in the order in which they were first sent. */
	sequence: number;
}

/** Also so that a log which refuses at once, as a closed one does, leaves the process its turn. */
const pause = () => new Promise((done) => setTimeout(done, 5));

/** Producers that each have a key and send one record after another until it is answered, as whoever wants order must. */
function openLoad() {
	const next = random(SEED);
	const acknowledged: Sent[] = [];
	const made = new Map<string, number>();
	const refusals: string[] = [];
	let ending = false;
	const partitionOf = (key: string) => Number(key.slice(2)) % PARTITIONS;

	/** True when it is durable. Anything but an answer or a LogUnavailable is a defect. */
	async function send(records: readonly Sent[]): Promise<boolean> {
		try {
			await log.append(records.map(({ name, key }) => ({ topic: TOPIC, partition: partitionOf(key), key, value: Buffer.from(name), timestamp: 1 })));
			acknowledged.push(...records);
			return true;
		} catch (error) {
			if (!(error instanceof LogUnavailable)) throw error;
			refusals.push(error.message);
			return false;
		}
	}
	async function producer(key: string): Promise<void> {
		while (!ending) {
			const records = Array.from({ length: 1 + Math.floor(next() * 5) }, () => {
				const sequence = (made.get(key) ?? 0) + 1;
				made.set(key, sequence);
				return { name: `${key}#${sequence}`, key, sequence };
			});
			// The same again after a refusal: it may be in the log already.
			while (!(await send(records)) && !ending) await pause();
			await pause();
		}
	}
	const running = Promise.all(Array.from({ length: KEYS }, (_, key) => producer(`k-${key}`)));
	running.catch(() => undefined); // told by end()
	return {
		acknowledged,
		refusals,
		partitionOf,
		async end() {
			ending = true;
			await running;
		},
	};
}

/** What the consumer has read, and goes on to read until told to stop. */
function openReader() {
	const found = Array.from({ length: PARTITIONS }, () => [] as string[]);
	let ending = false;
	const running = Promise.all(
		found.map(async (names, partition) => {
			while (!ending) {
				// While its group or leader moves it waits, as the feature worker does; what it is given never has a hole.
				const records = await member.read(TOPIC, partition, { offset: offsets[partition]!, records_max: 1000, bytes_max: 1 << 20 }).catch(() => []);
				for (const { offset, value } of records) {
					if (offset !== offsets[partition]) throw new Error(`Partition ${partition} jumps from ${offsets[partition]} to ${offset}`);
					offsets[partition] = offset + 1;
					names.push(Buffer.from(value).toString());
				}
				if (records.length === 0) await new Promise((done) => setTimeout(done, 20));
			}
		}),
	);
	running.catch(() => undefined);
	return {
		found,
		total: () => found.reduce((sum, { length }) => sum + length, 0),
		async end() {
			ending = true;
			await running;
		},
	};
}
const offsets = Array.from({ length: PARTITIONS }, () => 0);

async function leaders(): Promise<number[]> {
	const admin = kafkaClient(kafkaPlace(cluster.url), { clientId: 'surgecast-test' }).admin();
	await admin.connect();
	try {
		const { topics } = await admin.fetchTopicMetadata({ topics: [TOPIC] });
		return topics[0]!.partitions.sort((a, b) => a.partitionId - b.partitionId).map(({ leader }) => leader);
	} finally {
		await admin.disconnect();
	}
}

test('a leader dies by kill -9 under load, then a second one: nothing acknowledged is lost, order of a key holds, consumers go on, and what two nodes cannot hold is refused', async () => {
	const load = openLoad();
	const reader = openReader();
	underWay.push(load, reader);
	const grows = (what: string, by = 200) => {
		const from = load.acknowledged.length;
		return until(what, async () => load.acknowledged.length >= from + by, { within: 60_000 });
	};
	await grows('a load');

	const [first] = await leaders();
	const read = reader.total();
	await cluster.nodes.get(first!)!.kill();
	// The partitions that it did not lead take appends all the while: only the election says that its own have a leader again.
	const elected = await until(
		'an election',
		async () => {
			const now = await leaders();
			return !now.includes(first!) && !now.includes(-1) && now;
		},
		{ within: 60_000, every: 200 },
	);
	await grows('appends after the election', 400);
	await until('a reader that goes on', async () => reader.total() > read + 400, { within: 60_000 });

	// With one of three nodes nothing has a second copy: nothing may be acknowledged. What was under way before its death may still be answered.
	const second = elected[0]!;
	await cluster.nodes.get(second)!.kill();
	const refused = load.refusals.length;
	await until('a refusal by every producer', async () => load.refusals.length >= refused + KEYS, { within: 60_000 });
	const alone = load.acknowledged.length;
	const later = load.refusals.length;
	await until('more refusals', async () => load.refusals.length >= later + KEYS, { within: 60_000 });
	expect(load.acknowledged.length).toBe(alone);

	await Promise.all([first!, second].map((id) => cluster.nodes.get(id)!.start()));
	await grows('appends by nodes that are back', 400);
	await load.end();
	const ends = await until('the ends', async () => Promise.all(offsets.map((_, partition) => log.end(TOPIC, partition))), { within: 60_000 });
	await until('a reader at the ends', async () => ends.every((end, partition) => offsets[partition]! >= end), { within: 60_000 });
	await reader.end();

	const names = new Set(reader.found.flat());
	expect(load.acknowledged.filter(({ name }) => !names.has(name))).toEqual([]);
	// A record that was refused may be there, twice too once it was sent again. By first appearance, which is what the fold counts, each key is in order.
	for (const [partition, found] of reader.found.entries()) {
		const reached = new Map<string, number>();
		for (const name of new Set(found)) {
			const [key, text] = name.split('#') as [string, string];
			expect(load.partitionOf(key)).toBe(partition);
			const sequence = Number(text);
			if (sequence !== (reached.get(key) ?? 0) + 1) throw new Error(`${name} comes after ${key}#${reached.get(key) ?? 0} in partition ${partition}`);
			reached.set(key, sequence);
		}
		expect(reached.size).toBe(KEYS / PARTITIONS);
	}
	console.log(
		`${load.acknowledged.length} acknowledged, ${load.refusals.length} refused, ${reader.total() - names.size} twice in the log; the first refusals: ${[...new Set(load.refusals)].slice(0, 3).join('; ')}`,
	);
}, 240_000);
