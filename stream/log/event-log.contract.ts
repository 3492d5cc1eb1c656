import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { limits } from '#schemas/limits.ts';
import { retentionMs, type Topic } from '#schemas/topic.ts';
import { type Appended, type EventLog, LogUnavailable, PositionLost, type StoredRecord } from './event-log.ts';
import { NotOwner } from './member.ts';

/** A place where a driver keeps a log, made anew for each test. */
export interface LogPlace {
	/** Opens the log of this place; again after a close, it is the same log. */
	open(): Promise<EventLog>;
	/** Damages the stored value of one record behind the driver's back; undefined where the driver cannot be held to it (the broker checks). */
	flipBit?: (at: { topic: Topic; partition: number; offset: number }) => void;
	/** What of the contract is the server's own business in this driver, and why it is left out. */
	leaves?: { timestamps?: string; expiry?: string };
	/** How long members that come and go may take to agree on who owns what. */
	rebalance_ms?: number;
	remove(): Promise<void>;
}

const ALL = { records_max: 100_000, bytes_max: 1 << 30 };
const record = (text: string, more: Partial<Appended> = {}): Appended => ({
	topic: 'user-events',
	partition: 0,
	key: 'r',
	value: new TextEncoder().encode(text),
	timestamp: 1000,
	...more,
});
const texts = (records: readonly StoredRecord[]): string[] => records.map(({ value }) => new TextDecoder().decode(value));

/** What every driver of the log promises. The log is made with 4 partitions. */
export function eventLogContract(name: string, make: () => LogPlace): void {
	describe(`${name} as an EventLog`, () => {
		let place: LogPlace;
		let log: EventLog;
		beforeEach(async () => {
			place = make();
			log = await place.open();
		});
		afterEach(async () => {
			await log.close();
			await place.remove();
		});
		const reopen = async (): Promise<void> => {
			await log.close();
			log = await place.open();
		};
		const read = (offset: number, most: Partial<typeof ALL> = {}) => log.read('user-events', 0, { ...ALL, ...most, offset });

		test('append() keeps the order of a partition and gives growing offsets', async () => {
			await log.append([record('a'), record('b')]);
			await Promise.all([log.append([record('c')]), log.append([record('d'), record('e')])]);
			const records = await read(0);
			expect(texts(records)).toEqual(['a', 'b', 'c', 'd', 'e']);
			expect(records.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4]);
			expect(await log.end('user-events', 0)).toBe(5);
			expect(await log.start('user-events', 0)).toBe(0);
		});

		test('append() keeps partitions and topics apart', async () => {
			await log.append([record('a'), record('b', { partition: 3 }), record('c', { topic: 'supply-events' }), record('d', { topic: 'dead-letter' })]);
			expect(texts(await read(0))).toEqual(['a']);
			expect(texts(await log.read('user-events', 3, { ...ALL, offset: 0 }))).toEqual(['b']);
			expect(texts(await log.read('supply-events', 0, { ...ALL, offset: 0 }))).toEqual(['c']);
			expect(texts(await log.read('dead-letter', 0, { ...ALL, offset: 0 }))).toEqual(['d']);
			expect(await log.read('user-events', 1, { ...ALL, offset: 0 })).toEqual([]);
		});

		test('append() keeps a batch across partitions whole or not at all', async () => {
			await expect(log.append([record('a'), record('b', { partition: 1 }), record('c', { partition: 99 })])).rejects.toThrow('99');
			expect(await log.end('user-events', 0)).toBe(0);
			expect(await log.end('user-events', 1)).toBe(0);
		});

		test('append() of a record that no log can take harms no other caller of the same turn', async () => {
			const bad = [record('x', { partition: 99 }), record('x', { topic: 'dead-letter', partition: 1 }), record('x', { timestamp: 0.5 })];
			const results = await Promise.allSettled([log.append([record('a')]), ...bad.map((one) => log.append([one])), log.append([record('b')])]);
			expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'rejected', 'fulfilled']);
			expect(texts(await read(0))).toEqual(['a', 'b']);
		});

		test('append() refuses what comes too late and keeps the others', async () => {
			const results = await Promise.allSettled([
				log.append([record('late')], { before: Date.now() - 1 }),
				log.append([record('a')], { before: Date.now() + 60_000 }),
			]);
			expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
			expect((results[0] as PromiseRejectedResult).reason).toBeInstanceOf(LogUnavailable);
			expect(texts(await read(0))).toEqual(['a']);
		});

		test('append() of nothing resolves', async () => {
			await log.append([]);
			expect(await log.end('user-events', 0)).toBe(0);
		});

		test('read() gives back key, timestamp, headers and bytes as they were', async () => {
			const value = Uint8Array.from({ length: 256 }, (_, i) => i);
			await log.append([record('', { key: 'nyc-1', value, timestamp: 1_768_127_400_123, headers: { traceparent: '00-é-☂', empty: '' } }), record('')]);
			const [first, second] = await read(0);
			expect(first).toMatchObject({ key: 'nyc-1', headers: { traceparent: '00-é-☂', empty: '' }, corrupt: false });
			if (!place.leaves?.timestamps) expect(first!.timestamp).toBe(1_768_127_400_123);
			expect([...first!.value]).toEqual([...value]);
			expect(second).toMatchObject({ headers: undefined, corrupt: false });
			expect(second!.value.length).toBe(0);
		});

		test('read() takes a record of 2 MB', async () => {
			const value = new Uint8Array(2_000_000).fill(7);
			await log.append([record('', { value })]);
			const [large] = await read(0, { bytes_max: 1000 });
			expect(large!.value.length).toBe(2_000_000);
			expect(large!.corrupt).toBe(false);
		});

		test('read() keeps to its limits, but gives one record at least', async () => {
			await log.append(Array.from({ length: 100 }, (_, i) => record(String(i).padStart(10, '0'))));
			expect(await read(0, { records_max: 7 })).toHaveLength(7);
			expect(await read(0, { bytes_max: 55 })).toHaveLength(5);
			expect(await read(0, { bytes_max: 1 })).toHaveLength(1);
			expect(texts(await read(90))).toEqual(Array.from({ length: 10 }, (_, i) => String(90 + i).padStart(10, '0')));
			expect(await read(100)).toEqual([]);
		});

		test('read() rewinds', async () => {
			await log.append([record('a'), record('b'), record('c')]);
			expect(texts(await read(2))).toEqual(['c']);
			expect(texts(await read(0))).toEqual(['a', 'b', 'c']);
		});

		test('read() throws PositionLost beyond the end and never jumps', async () => {
			await log.append([record('a')]);
			await expect(read(2)).rejects.toThrow(PositionLost);
			await expect(read(-1)).rejects.toThrow(PositionLost);
		});

		test('position() is the start of the log until a group commits, and each group has its own', async () => {
			await log.append([record('a'), record('b')]);
			const [g, h] = [await log.join('g', ['user-events']), await log.join('h', ['user-events'])];
			expect(await g.position('user-events', 0)).toBe(0);
			await g.commit('user-events', 0, 2);
			await g.commit('user-events', 1, 0);
			expect(await g.position('user-events', 0)).toBe(2);
			expect(await h.position('user-events', 0)).toBe(0);
			await g.commit('user-events', 0, 1);
			expect(await g.position('user-events', 0)).toBe(1);
		});

		test('join() gives a member that is alone all partitions, to read from any offset', async () => {
			await log.append([record('a'), record('b'), record('c', { partition: 3, topic: 'supply-events' })]);
			const member = await log.join('g', ['user-events', 'supply-events']);
			expect(member.partitions()).toEqual([0, 1, 2, 3]);
			expect(texts(await member.read('user-events', 0, { ...ALL, offset: 1 }))).toEqual(['b']);
			expect(texts(await member.read('user-events', 0, { ...ALL, offset: 0 }))).toEqual(['a', 'b']);
			expect(texts(await member.read('supply-events', 3, { ...ALL, offset: 0 }))).toEqual(['c']);
			expect(await member.read('user-events', 2, { ...ALL, offset: 0 })).toEqual([]);
			await log.append([record('d')]);
			expect(texts(await member.read('user-events', 0, { ...ALL, offset: 2 }))).toEqual(['d']);
			await expect(member.read('user-events', 0, { ...ALL, offset: 9 })).rejects.toThrow(PositionLost);
			await member.leave();
		});

		test('read() of a partition is held up by no other, however much of that waits unread; nothing is lost, and all is in order', async () => {
			const count = 3 * limits.kafka_buffer_records_max;
			const partitions = [0, 1, 2];
			for (const partition of partitions) await log.append(Array.from({ length: count }, (_, n) => record(`${partition}-${n}`, { partition })));
			const member = await log.join('g', ['user-events']);
			const found = partitions.map((): string[] => []);
			const go = async (partition: number, records_max: number): Promise<void> =>
				void found[partition]!.push(...texts(await member.read('user-events', partition, { ...ALL, records_max, offset: found[partition]!.length })));
			await go(0, 1); // from here on it is read ahead
			while (found[1]!.length < count) await go(1, 500);
			await Promise.all(
				[0, 2].map(async (partition) => {
					while (found[partition]!.length < count) await go(partition, 700);
				}),
			);
			for (const partition of partitions) expect(found[partition]).toEqual(Array.from({ length: count }, (_, n) => `${partition}-${n}`));
			await member.leave();
		});

		test('join() of two members shares the partitions, every topic alike, and gives them back when one leaves', async (context) => {
			if (place.rebalance_ms === undefined) return context.skip('one process has the file: there is no second member');
			await log.append([0, 1, 2, 3].flatMap((partition) => [record('a', { partition }), record('b', { partition, topic: 'supply-events' })]));
			const second = await place.open();
			try {
				const one = await log.join('g', ['user-events', 'supply-events']);
				let told = 0;
				one.onChange(() => {
					told += 1;
				});
				const two = await second.join('g', ['user-events', 'supply-events']);
				const shared = () => one.partitions().length === 2 && two.partitions().length === 2;
				await expect.poll(shared, { timeout: place.rebalance_ms }).toBe(true);
				expect([...one.partitions(), ...two.partitions()].sort()).toEqual([0, 1, 2, 3]);
				expect(told).toBeGreaterThan(0);
				for (const member of [one, two])
					for (const partition of member.partitions())
						for (const topic of ['user-events', 'supply-events'] as const)
							expect(texts(await member.read(topic, partition, { ...ALL, offset: 0 }))).toEqual([topic === 'user-events' ? 'a' : 'b']);
				const [other] = two.partitions();
				await expect(one.read('user-events', other!, { ...ALL, offset: 0 })).rejects.toThrow(NotOwner);
				await expect(one.commit('user-events', other!, 1)).rejects.toThrow(NotOwner);
				await two.leave();
				await expect.poll(() => one.partitions(), { timeout: place.rebalance_ms }).toEqual([0, 1, 2, 3]);
				expect(texts(await one.read('user-events', other!, { ...ALL, offset: 0 }))).toEqual(['a']);
			} finally {
				await second.close();
			}
		});

		test('onAppend() tells of every append until it is ended', async () => {
			let told = 0;
			const end = log.onAppend(() => {
				told += 1;
			});
			await log.append([record('a')]);
			await log.append([record('b')]);
			expect(told).toBe(2);
			end();
			await log.append([record('c')]);
			expect(told).toBe(2);
		});

		test('open() after a close has everything and the same identity', async () => {
			await log.append([record('a'), record('b', { partition: 2, headers: { h: '1' } })]);
			await (await log.join('g', ['user-events'])).commit('user-events', 0, 1);
			const { identity } = log;
			await reopen();
			expect(log.identity).toBe(identity);
			expect(log.partitions).toBe(4);
			expect(texts(await read(0))).toEqual(['a']);
			expect(await (await log.join('g', ['user-events'])).position('user-events', 0)).toBe(1);
			await log.append([record('c')]);
			expect(texts(await read(1))).toEqual(['c']);
		});

		test('close() keeps what was appended but not yet answered', async () => {
			const appended = log.append([record('a')]);
			await log.close();
			await appended;
			log = await place.open();
			expect(texts(await read(0))).toEqual(['a']);
		});

		test('append() after close() throws LogUnavailable', async () => {
			await log.close();
			await expect(log.append([record('a')])).rejects.toThrow(LogUnavailable);
			log = await place.open();
		});

		test('expire() forgets from the oldest on by the deployment clock, and offsets go on growing over a restart', async (context) => {
			if (place.leaves?.expiry) return context.skip(place.leaves.expiry);
			const old = retentionMs['user-events'];
			// The third is young: what lies behind it stays, whatever its own timestamp.
			await log.append([record('a', { timestamp: 0 }), record('b', { timestamp: 10 }), record('c', { timestamp: 2000 }), record('d', { timestamp: 20 })]);
			expect(await log.expire(old)).toBe(0);
			expect(await log.expire(old + 1000)).toBe(2);
			expect(await log.start('user-events', 0)).toBe(2);
			expect(texts(await read(2))).toEqual(['c', 'd']);
			await expect(read(1)).rejects.toThrow(PositionLost);
			expect(await (await log.join('new', ['user-events'])).position('user-events', 0)).toBe(2);
			await log.expire(old + 1e9);
			await reopen();
			expect(await log.end('user-events', 0)).toBe(4);
			await log.append([record('e', { timestamp: 1e9 })]);
			expect(texts(await read(4))).toEqual(['e']);
			await expect(read(2)).rejects.toThrow(PositionLost);
		});

		test('expire() of many records goes on in portions', async (context) => {
			if (place.leaves?.expiry) return context.skip(place.leaves.expiry);
			await log.append(Array.from({ length: 12_000 }, (_, i) => record('x', { timestamp: i })));
			const expiring = log.expire(retentionMs['user-events'] + 11_000);
			await log.append([record('y', { timestamp: 12_000 })]);
			expect(await expiring).toBe(11_000);
			expect(await log.start('user-events', 0)).toBe(11_000);
			expect(await read(11_000)).toHaveLength(1001);
		});

		test('read() marks a record whose stored bytes changed, and only that one', async (context) => {
			if (!place.flipBit) return context.skip();
			await log.append([record('aaaa'), record('bbbb'), record('cccc')]);
			await log.close();
			place.flipBit({ topic: 'user-events', partition: 0, offset: 1 });
			log = await place.open();
			expect((await read(0)).map(({ corrupt }) => corrupt)).toEqual([false, true, false]);
		});
	});
}
