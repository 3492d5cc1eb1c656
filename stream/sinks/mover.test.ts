import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { limits } from '#schemas/limits.ts';
import type { Topic } from '#schemas/topic.ts';
import { Undecodable } from '../avro/codec.ts';
import { freshLog, until } from '../features/river.test-support.ts';
import { type EventLog, PositionLost } from '../log/event-log.ts';
import { openMover } from './mover.ts';
import type { Sink, SinkBatch } from './sink.ts';

let river: ReturnType<typeof freshLog>;
let movers: Sink[];
beforeEach(() => {
	river = freshLog(4);
	movers = [];
});
afterEach(async () => {
	for (const mover of movers) await mover.stop();
	await river.log.close();
	river.remove();
});

const append = (text: string, partition: number, topic: Topic = 'user-events') =>
	river.log.append([{ topic, partition, key: 'r', value: Buffer.from(text), timestamp: 1, headers: { reason: 'because' } }]);
const textsOf = (batches: SinkBatch<string>[]) => batches.flatMap(({ records }) => records.map(({ decoded }) => decoded)).sort();

async function open(
	options: {
		log?: EventLog;
		topics?: Topic[];
		gather?: { records_max: number; ms: number };
		write?: (batches: SinkBatch<string>[]) => Promise<undefined>;
	} = {},
) {
	const rounds: string[][] = [];
	const mover = await openMover<string>({
		log: river.log,
		group: 'g',
		topics: ['user-events', 'supply-events'],
		what: 'the store',
		retry_ms: 20,
		decode({ value, headers }) {
			const text = Buffer.from(value).toString();
			if (text === 'bad') throw new Undecodable('it is bad');
			return `${text} ${headers?.['reason']}`;
		},
		async write(batches) {
			rounds.push(textsOf(batches));
			return undefined;
		},
		...options,
	});
	movers.push(mover);
	return { mover, rounds };
}

test('openMover() gathers what all partitions and topics have into one round, headers and all', async () => {
	for (const partition of [0, 1, 2, 3]) await append(`u${partition}`, partition);
	await append('s', 2, 'supply-events');
	await append('bad', 2, 'supply-events');
	const { mover, rounds } = await open({ gather: { records_max: 100, ms: 5 } });
	mover.start();
	await mover.drain(5000);
	expect(rounds).toEqual([['s because', 'u0 because', 'u1 because', 'u2 because', 'u3 because']]);
	expect(mover.counts).toEqual({ moved: 5, failures: 0, unreadable: 1 });
});

test('openMover() without gathering writes each batch by itself; a full round ends a gathering', async () => {
	for (const partition of [0, 1, 2, 3]) await append(`u${partition}`, partition);
	const single = await open();
	single.mover.start();
	await single.mover.drain(5000);
	expect(single.rounds.map((round) => round.length)).toEqual([1, 1, 1, 1]);
	await single.mover.stop();
	movers = [];
	for (const partition of [0, 1, 2, 3]) await append(`v${partition}`, partition);
	const pairs = await open({ gather: { records_max: 2, ms: 5 } });
	pairs.mover.start();
	await pairs.mover.drain(5000);
	expect(pairs.rounds.map((round) => round.length)).toEqual([2, 2]);
});

test('a backlog of one partition is one round, whatever a reading gives at once', async () => {
	const count = 3 * limits.sink_read_records_max;
	await river.log.append(
		Array.from({ length: count }, (_, n) => ({ topic: 'user-events' as const, partition: 0, key: 'r', value: Buffer.from(`u${n}`), timestamp: 1 })),
	);
	await append('other', 1);
	const { mover, rounds } = await open({ gather: { records_max: 10 * count, ms: 600_000 } });
	mover.start();
	await until('the backlog', () => mover.counts.moved === count + 1);
	expect(rounds.map((round) => round.length)).toEqual([count + 1]);
});

test('a drain does not wait for a round to gather more, a stop neither', async () => {
	const { mover, rounds } = await open({ gather: { records_max: 100, ms: 600_000 } });
	mover.start();
	await append('a', 0);
	await until('a first round', () => rounds.length === 1);
	await append('b', 1);
	await mover.drain(10_000);
	expect(rounds.flat()).toEqual(['a because', 'b because']);
	await append('c', 1);
	await mover.stop();
});

test('a partition that cannot be read does not hold up the others, and is told', async () => {
	const lost: EventLog = {
		...river.log,
		join: async (...group) => {
			const member = await river.log.join(...group);
			return {
				...member,
				read: async (topic, partition, options) => {
					if (topic === 'user-events' && partition === 1) throw new PositionLost('offset 0 is gone');
					return member.read(topic, partition, options);
				},
			};
		},
	};
	const { mover, rounds } = await open({ log: lost, gather: { records_max: 100, ms: 5 } });
	for (const partition of [0, 1, 2, 3]) await append(`u${partition}`, partition);
	mover.start();
	await until('the others', () => rounds.flat().length === 3);
	await until('the trouble', () => mover.trouble() !== null);
	expect(mover.trouble()).toBe('offset 0 is gone: npm run skip-lost -- g says what the store has lost, and goes on without it');
	expect(rounds.flat().sort()).toEqual(['u0 because', 'u2 because', 'u3 because']);
});

test('what a failed write had comes again, whole; positions move only after it', async () => {
	let fail = true;
	const written: string[][] = [];
	const { mover } = await open({
		gather: { records_max: 100, ms: 5 },
		async write(batches) {
			written.push(textsOf(batches));
			if (fail) throw new Error('no store');
			return undefined;
		},
	});
	await append('a', 0);
	mover.start();
	await until('two attempts', () => written.length >= 2);
	const member = await river.log.join('g', ['user-events']);
	expect(await member.position('user-events', 0)).toBe(0);
	fail = false;
	await mover.drain(5000);
	expect(new Set(written.map(String))).toEqual(new Set(['a because']));
	expect(await member.position('user-events', 0)).toBe(1);
});

test('side topics have one partition, however many the others have', async () => {
	await append('late', 0, 'late-events');
	await append('dead', 0, 'dead-letter');
	const { mover, rounds } = await open({ topics: ['late-events', 'dead-letter'], gather: { records_max: 10, ms: 5 } });
	mover.start();
	await mover.drain(5000);
	expect(rounds.flat().sort()).toEqual(['dead because', 'late because']);
	expect(mover.trouble()).toBeNull();
});

test('what waits in the log is told after a while though the store takes what it is given (F22)', async () => {
	vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] });
	try {
		let release = () => {};
		const held = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
		const { mover } = await open({ write: () => held }); // slow, not failing
		for (let n = 0; n < 3; n++) await append(`u${n}`, 0);
		mover.start();
		await vi.advanceTimersByTimeAsync(limits.sink_lag_ms);
		expect([mover.lag().records, mover.trouble(), mover.behind()]).toEqual([3, null, []]);
		await vi.advanceTimersByTimeAsync(limits.sink_behind_ms);
		expect(mover.behind()).toMatchObject([{ what: 'the store', cause: '3 records wait in the log' }]);
		release();
		await vi.advanceTimersByTimeAsync(2 * limits.sink_lag_ms);
		expect([mover.lag().records, mover.behind()]).toEqual([0, []]);
	} finally {
		vi.useRealTimers();
	}
});
