import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DecisionBatch } from '#schemas/decision.ts';
import { encodeDecision, encodeSnapshot, encodeTick } from '../avro/codec.ts';
import { freshLog, until } from '../features/river.test-support.ts';
import type { EventLog } from '../log/event-log.ts';
import { type DecisionSink, openDecisionSink } from './decision-sink.ts';

let river: ReturnType<typeof freshLog>;
let sinks: DecisionSink[];
beforeEach(() => {
	river = freshLog(2);
	sinks = [];
});
afterEach(async () => {
	for (const sink of sinks) await sink.stop();
	await river.log.close();
	river.remove();
});

const snapshot = (id: string) => encodeSnapshot({ snapshot_id: id, region: { region_id: 'r' } } as never);
const decision = (id: string, sequence: number) =>
	encodeDecision({
		decision_id: id,
		region_id: 'r',
		decided_at: 1,
		isolate: 'i',
		sequence,
		answer: { product_type: 'p', status: 'priced', amount_minor: 1, currency: 'SGD', surge_multiplier: 1, versions: { release: 1, rule_set: 1, model: null } },
		inputs: { snapshot_id: 's', user_hash: null },
	} as never);
const append = (values: Uint8Array[], partition = 0) =>
	river.log.append(values.map((value) => ({ topic: 'pricing-decisions', partition, key: 'r', value, timestamp: 1 })));

/** A store that keeps a decision once by its id, and can be away. */
function fakeStore() {
	const store = {
		decisions: new Map<string, number>(),
		snapshots: new Set<string>(),
		away: false,
		async put(batch: DecisionBatch) {
			if (store.away) throw new Error('no database');
			for (const { snapshot_id } of batch.snapshots) store.snapshots.add(snapshot_id);
			for (const { decision_id } of batch.decisions) store.decisions.set(decision_id, (store.decisions.get(decision_id) ?? 0) + 1);
		},
	};
	return store;
}
async function open(store: ReturnType<typeof fakeStore>, options: { log?: EventLog; troubles?: string[] } = {}): Promise<DecisionSink> {
	const sink = await openDecisionSink({
		log: options.log ?? river.log,
		store: (batch) => store.put(batch),
		onTrouble: (text) => options.troubles?.push(text),
		retry_ms: 20,
	});
	sinks.push(sink);
	sink.start();
	return sink;
}

test('stores decisions and snapshots of all partitions as they come, and counts gaps', async () => {
	const store = fakeStore();
	const sink = await open(store);
	await append([snapshot('s'), decision('d-1', 1), decision('d-2', 2)]);
	await until('two decisions', () => sink.counts.stored === 2);
	await append([decision('d-5', 5)], 1);
	await until('a gap', () => sink.counts.gaps === 2);
	await append([decision('d-4', 4), decision('d-3', 3), decision('d-3', 3)]);
	await until('no gap', () => sink.counts.gaps === 0);
	expect([...store.snapshots]).toEqual(['s']);
	expect(sink.trouble()).toBeNull();
});

test('goes on after dying between store and commit: nothing is missing, what comes twice has one id', async () => {
	const store = fakeStore();
	await append([decision('d-1', 1), decision('d-2', 2)]);
	const dying: EventLog = { ...river.log, join: async (...group) => ({ ...(await river.log.join(...group)), commit: () => new Promise(() => undefined) }) };
	(await openDecisionSink({ log: dying, store: (batch) => store.put(batch) })).start();
	await until('the store has them', () => store.decisions.size === 2);
	await append([decision('d-3', 3)]);
	const sink = await open(store);
	await until('all three', () => sink.counts.stored === 3);
	expect([...store.decisions]).toEqual([
		['d-1', 2],
		['d-2', 2],
		['d-3', 1],
	]);
});

test('keeps the backlog while the store is away and drains it afterwards; trouble is told once', async () => {
	const store = fakeStore();
	const troubles: string[] = [];
	store.away = true;
	const sink = await open(store, { troubles });
	for (let n = 0; n < 20; n++) await append([decision(`d-${n}`, n)]);
	await until('failures', () => sink.counts.failures > 2);
	expect(sink.trouble()).toBe('The store of decisions takes nothing; all waits in the log: no database');
	expect(troubles).toEqual(['The store of decisions takes nothing; all waits in the log: no database']);
	expect(sink.behind()).toEqual([
		{
			what: 'the store of decisions',
			since: expect.stringMatching(/Z$/),
			seconds: expect.any(Number),
			cause: 'The store of decisions takes nothing; all waits in the log: no database',
		},
	]);
	await sink.drain(100); // does not wait for ever: a stop must end
	store.away = false;
	await sink.drain(10_000);
	expect(store.decisions.size).toBe(20);
	await until('no trouble', () => sink.trouble() === null);
	expect(sink.behind()).toEqual([]);
});

test('names and skips a record that cannot be read', async () => {
	const store = fakeStore();
	const troubles: string[] = [];
	const broken = Buffer.from(snapshot('s'));
	broken[broken.length - 1] = 0x21;
	await append([decision('d-1', 1), new Uint8Array([1, 2, 3]), broken, encodeTick(1), decision('d-2', 2)]);
	const sink = await open(store, { troubles });
	await until('two decisions', () => sink.counts.stored === 2);
	expect(sink.counts.unreadable).toBe(3);
	expect(troubles).toEqual([
		'Record pricing-decisions/0/1 is skipped: no Confluent frame',
		'Record pricing-decisions/0/2 is skipped: its body is not JSON',
		'Record pricing-decisions/0/3 is skipped: a tick does not belong here',
	]);
	expect(await (await river.log.join('decisions-to-postgres', ['pricing-decisions'])).position('pricing-decisions', 0)).toBe(5);
});

test('counts no gaps while another sink has a part of the partitions: its decisions are not missing', async () => {
	const store = fakeStore();
	const log: EventLog = { ...river.log, join: async (...group) => ({ ...(await river.log.join(...group)), partitions: () => [0] }) };
	const sink = await open(store, { log });
	await append([decision('d-1', 1), decision('d-9', 9)]);
	await until('both', () => sink.counts.stored === 2);
	expect(sink.counts.gaps).toBe(0);
});

test('drain() ends with the error of a log that does not answer, and a stop afterwards ends too', async () => {
	const sink = await open(fakeStore(), { log: { ...river.log, end: () => Promise.reject(new Error('no log')) } });
	await expect(sink.drain(10_000)).rejects.toThrow('no log');
	await sink.stop();
});
