import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Event } from '#schemas/event.ts';
import { featureIndex } from '#schemas/feature.ts';
import type { FeatureCheckpoints } from '#schemas/feature-checkpoints.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import { eventTopics } from '#schemas/topic.ts';
import { encodeTick } from '../avro/codec.ts';
import { wallClock } from '../clock.ts';
import { type EventLog, LogUnavailable, PositionLost } from '../log/event-log.ts';
import { type FeatureWorker, openFeatureWorker } from './feature-worker.ts';
import { booking, fakeCatalogue, fakeEdge, freshLog, LATENESS_MS, MINUTE, recordOf, START, settableClock, until } from './river.test-support.ts';

const PARTITIONS = 2;
const REGIONS = Array.from({ length: 8 }, (_, i) => `r-${i}`);
const ofPartition = (number: number) => REGIONS.find((id) => partition(id, PARTITIONS) === number)!;
const rivers: ReturnType<typeof freshLog>[] = [];
const workers: FeatureWorker[] = [];
function river(options: { clock?: { virtual: boolean; now(): number } } = {}) {
	const made = freshLog(PARTITIONS);
	rivers.push(made);
	const { log, path } = made;
	const edge = fakeEdge();
	const troubles: string[] = [];
	const worker = async (more: { log?: EventLog; checkpoints?: FeatureCheckpoints } = {}) => {
		const opened = await openFeatureWorker({
			log: more.log ?? log,
			checkpoints: more.checkpoints ?? log.checkpoints,
			catalogue: fakeCatalogue(REGIONS),
			clock: options.clock ?? wallClock,
			edge,
			lateness_ms: LATENESS_MS,
			push_interval_ms: 20,
			onTrouble: (text) => troubles.push(text),
		});
		workers.push(opened);
		return opened;
	};
	let sent = 0;
	/** Appends a booking that happens now; returns when. */
	const book = async (region_id: string, more: Partial<Event> = {}): Promise<number> => {
		const now = (options.clock ?? wallClock).now();
		await log.append([recordOf(booking(`e-${sent++}`, now, { region_id, ...more }), PARTITIONS)]);
		return now;
	};
	const bookings = (region: string) => edge.rows.get(region)?.values[featureIndex.booking_count_60min] ?? 0;
	return { log, path, edge, troubles, worker, book, bookings };
}
afterEach(async () => {
	for (const worker of workers.splice(0)) await worker.stop();
	for (const made of rivers.splice(0)) {
		await made.log.close();
		made.remove();
	}
});

describe('start()', () => {
	test('tells the edge of every event, and of a held one when its time comes', async () => {
		const { edge, worker, book, bookings } = river();
		const only = await worker();
		only.start();
		for (let n = 1; n <= 5; n++) {
			const at = await book('r-0');
			await until(`booking ${n}`, () => bookings('r-0') === n);
			expect(edge.rows.get('r-0')!.as_of).toBeGreaterThan(at);
		}
		const due = Date.now() + 700;
		await book('r-1', { timestamp: due });
		await until('the held booking', () => bookings('r-1') === 1);
		expect(edge.rows.get('r-1')!.as_of).toBeGreaterThan(due);
		expect(only.trouble()).toBeNull();
	});

	test('a partition that cannot be taken over yet holds up neither the start nor the others, is told, and is taken over later (F8)', async () => {
		const { log, troubles, worker, book, bookings } = river();
		const [late, fine] = [ofPartition(1), ofPartition(0)];
		let away = true;
		const electing: EventLog = {
			...log,
			async start(topic, number) {
				if (away && number === 1) throw new LogUnavailable('no leader yet');
				return log.start(topic, number);
			},
		};
		const only = await worker({ log: electing });
		only.start();
		await book(late);
		await book(fine);
		await until('the partition that is there', () => bookings(fine) === 1);
		expect(only.partitions()).toEqual([0]);
		expect(only.behind()).toMatchObject([{ what: 'features of partitions to be taken over', cause: 'Not every partition can be taken over: no leader yet' }]);
		away = false;
		await until('the other', () => bookings(late) === 1);
		expect([only.partitions(), only.trouble()]).toEqual([[0, 1], null]);
		expect(troubles).toEqual(['Not every partition can be taken over: no leader yet']);
	});

	test('hears of an append that comes while it looks', async () => {
		const { log, worker, book, bookings } = river();
		const region = ofPartition(0);
		let armed = false;
		const busy: EventLog = {
			...log,
			async read(topic, number, options) {
				if (armed && number === 1) {
					armed = false; // partition 0 was looked at already in this round
					await book(region);
				}
				return log.read(topic, number, options);
			},
		};
		const only = await worker({ log: busy });
		only.start();
		await until('the first confirmation', () => only.counts.pushes >= 2 && only.trouble() === null);
		vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] });
		try {
			/** Timers jump; what is under way gets its turns in between. */
			const pass = async (ms: number) => {
				for (let at = 0; at < ms; at += 10) {
					await vi.advanceTimersByTimeAsync(10);
					await new Promise((resolve) => setImmediate(resolve));
				}
			};
			await pass(limits.fold_sleep_ms); // whatever it sleeps now
			armed = true;
			await book(ofPartition(1));
			// Less than it sleeps without news: it must have heard.
			await pass(limits.fold_sleep_ms / 2);
			expect([armed, bookings(region)]).toEqual([false, 1]);
		} finally {
			vi.useRealTimers();
		}
	});

	test.each(['down', 'error', 'drop'] as const)('a push that ends in "%s" is made good', async (fate) => {
		const { edge, troubles, worker, book, bookings } = river();
		const only = await worker();
		edge.next = [fate, fate, fate, fate];
		only.start();
		await book('r-0');
		await until('a push that arrives', () => bookings('r-0') === 1);
		await until('no trouble', () => only.trouble() === null);
		expect(troubles.length).toBeGreaterThan(0);
		expect(edge.frames.some(({ whole }) => whole)).toBe(true);
		const pairs = edge.frames.filter(({ shard }) => shard === 0).map(({ epoch, seq }) => epoch * 2 ** 32 + seq);
		expect(pairs).toEqual([...pairs].sort((a, b) => a - b));
	});

	test('pushes whole when a Shard lost its memory, and raises the epoch above one that a Shard holds', async () => {
		const { edge, worker, book, bookings } = river();
		const number = partition('r-0', PARTITIONS);
		edge.shards.set(number, { epoch: 90, seq: 3 });
		const only = await worker();
		only.start();
		await book('r-0');
		await until('a frame above epoch 90', () => bookings('r-0') === 1);
		expect(edge.shards.get(number)!.epoch).toBe(91);
		await until('quiet', () => only.trouble() === null);
		const whole = edge.frames.filter(({ whole, shard }) => whole && shard === number).length;
		edge.next = ['whole_wanted', 'whole_wanted'];
		await book('r-0');
		await until('a whole push', () => edge.frames.filter((frame) => frame.whole && frame.shard === number).length > whole);
		expect(edge.frames.filter((frame) => frame.shard === number).at(-1)!.regions[0]!.usual_week).toHaveLength(168);
	});

	test('goes on after the log was away, with trouble shown meanwhile', async () => {
		const { log, worker, book, bookings, troubles } = river();
		let away = true;
		const fragile: EventLog = { ...log, read: (...all) => (away ? Promise.reject(new LogUnavailable('disk gone')) : log.read(...all)) };
		const only = await worker({ log: fragile });
		only.start();
		await book('r-0');
		await until('trouble', () => only.trouble()?.includes('disk gone') ?? false);
		away = false;
		await until('the booking', () => bookings('r-0') === 1);
		await until('no trouble', () => only.trouble() === null);
		expect(troubles.length).toBeLessThanOrEqual(2 * PARTITIONS); // said once, not at every retry
	});

	test('stops a partition whose place in the log is lost, named, and not the others (F8, F13)', async () => {
		const { log, worker, book, bookings } = river();
		const [lost, fine] = [ofPartition(0), ofPartition(1)];
		const cut: EventLog = {
			...log,
			read: (topic, number, options) =>
				number === 0 ? Promise.reject(new PositionLost(`Cannot read ${topic}/0 from 7: the log has 9 to 12`)) : log.read(topic, number, options),
		};
		const only = await worker({ log: cut });
		only.start();
		await book(lost);
		await book(fine);
		await until('the other partition', () => bookings(fine) === 1);
		expect(only.trouble()).toBe('The feature worker stopped partition 0: Cannot read user-events/0 from 7: the log has 9 to 12');
		expect(bookings(lost)).toBe(0);
		expect(only.as_of()).toBe(0);
	});

	test('stops at a record that a flipped bit has changed in the file, says so, and the other partitions go on (F18)', async () => {
		const { log, path, worker, book, bookings, troubles } = river();
		const [hurt, fine] = [ofPartition(0), ofPartition(1)];
		await book(hurt);
		await book(hurt);
		const file = new DatabaseSync(join(path, 'log.sqlite'));
		const { value } = file.prepare('SELECT value FROM record WHERE part = 0 AND offset = 1').get() as { value: Uint8Array };
		value[value.length - 1]! ^= 8;
		file.prepare('UPDATE record SET value = ? WHERE part = 0 AND offset = 1').run(value);
		const only = await worker();
		only.start();
		await book(fine);
		await until('the other partition', () => bookings(fine) === 1);
		await until('the record before it', () => only.counts.folded === 2);
		await until('its name', () => only.behind().length === 1);
		expect(only.behind()).toEqual([
			{
				what: 'features of partition 0',
				since: expect.stringMatching(/Z$/),
				seconds: expect.any(Number),
				cause: 'Partition 0 waits: record user-events/0@1 of the log fails its checksum',
			},
		]);
		expect(troubles).toEqual(['Partition 0 waits: record user-events/0@1 of the log fails its checksum']);
		value[value.length - 1]! ^= 8;
		file.prepare('UPDATE record SET value = ? WHERE part = 0 AND offset = 1').run(value);
		file.close();
		await until('both', () => bookings(hurt) === 2);
		await until('no trouble', () => only.behind().length === 0);
		expect(await log.end('dead-letter', 0)).toBe(0);
	});

	test('behind() names a partition that stands still, by how far it lags', async () => {
		const clock = settableClock(Date.now());
		const { worker } = river({ clock });
		const only = await worker();
		only.start();
		await until('all folded up to the clock', () => only.behind().length === 0 && only.as_of() > 0);
		await only.stop();
		clock.at += limits.behind_ms;
		expect(only.behind()).toEqual([]);
		clock.at += 1;
		expect(only.behind().map(({ what, cause }) => `${what}: ${cause}`)).toEqual(
			[0, 1].map((number) => `features of partition ${number}: the fold lags behind the clock`),
		);
	});

	test('a worker that lost its partitions to another stops pushing and saving them (F4)', async () => {
		const { edge, log, worker, book, bookings } = river();
		const zombie = await worker();
		zombie.start();
		await book('r-0');
		await until('its push', () => bookings('r-0') === 1);
		const owner = await worker();
		owner.start();
		await until('the takeover', () => [0, 1].every((number) => edge.shards.get(number)!.epoch === 2));
		await book(ofPartition(0));
		await book(ofPartition(1));
		await until('its end', () => zombie.trouble()?.includes('owns it') ?? false);
		expect([0, 1].map((number) => edge.shards.get(number)!.epoch)).toEqual([2, 2]);
		expect(await log.checkpoints.claim(0)).toBe(3); // nobody raised it in between
	});

	test('folds and pushes on while the store of checkpoints is away, and stop() saves when it is back', async () => {
		const { log, worker, book, bookings } = river();
		let away = true;
		const checkpoints: FeatureCheckpoints = {
			...log.checkpoints,
			save: (...all) => (away ? Promise.reject(new Error('no store')) : log.checkpoints.save(...all)),
		};
		const first = await worker({ checkpoints });
		first.start();
		await book('r-0');
		await until('the booking', () => bookings('r-0') === 1);
		away = false;
		await first.stop();
		expect((await log.checkpoints.load(partition('r-0', PARTITIONS)))!.regions.map(({ region_id }) => region_id)).toEqual(['r-0']);
	});

	test('stop() ends while the edge and the store are down', async () => {
		const { edge, log, worker, book } = river();
		edge.down = true;
		const only = await worker({ checkpoints: { ...log.checkpoints, save: () => Promise.reject(new Error('no store')) } });
		only.start();
		await book('r-0');
		await until('trouble', () => only.trouble() !== null);
		await only.stop();
		expect(only.counts.checkpoint_failures).toBeGreaterThan(0);
	});
});

describe('step()', () => {
	const city = () => {
		const clock = settableClock(START, true);
		const made = river({ clock });
		const tick = async (): Promise<void> => {
			const now = clock.at;
			const record = { key: 'tick', value: encodeTick(now), timestamp: now };
			await made.log.append(eventTopics.flatMap((topic) => Array.from({ length: PARTITIONS }, (_, number) => ({ ...record, topic, partition: number }))));
		};
		return { ...made, clock, tick };
	};

	test('folds what the step brought and is done when every Shard has acknowledged, changed or not', async () => {
		const { clock, edge, worker, book, bookings, tick } = city();
		const only = await worker();
		for (let step = 1; step <= 20; step++) {
			clock.at += MINUTE;
			await book('r-0', { timestamp: clock.at - 1000 });
			await tick();
			await only.step();
			expect(bookings('r-0')).toBe(step);
			expect(only.as_of()).toBe(clock.at);
			const last = [0, 1].map((number) => edge.frames.filter(({ shard }) => shard === number).at(-1)!);
			for (const frame of last) expect(frame).toMatchObject({ now: clock.at, as_of: clock.at, whole: true });
		}
		expect(only.counts.finals).toBe(9); // minutes 2 to 10, by a clock that stands at 20
	});

	test('waits for a Shard that refuses or does not answer', async () => {
		const { clock, edge, worker, book, bookings, tick } = city();
		const only = await worker();
		clock.at += MINUTE;
		await book('r-0', { timestamp: clock.at - 1000 });
		await tick();
		edge.next = ['down', 'error', 'drop'];
		await only.step();
		expect(edge.next).toEqual([]);
		expect(bookings('r-0')).toBe(1);
		expect(only.trouble()).toBeNull();
	});

	test('goes on in another process where the last one ended', async () => {
		const { clock, edge, worker, book, bookings, tick } = city();
		const first = await worker();
		clock.at += MINUTE;
		await book('r-0', { timestamp: clock.at - 1000 });
		await tick();
		await first.step();
		await first.stop();
		const second = await worker();
		expect(second.as_of()).toBe(clock.at);
		clock.at += MINUTE;
		await book('r-0', { timestamp: clock.at - 1000 });
		await tick();
		await second.step();
		expect(bookings('r-0')).toBe(2);
		expect(second.counts).toMatchObject({ folded: 1, duplicates: 0 });
		expect(edge.shards.get(partition('r-0', PARTITIONS))!.epoch).toBe(2);
	});
});
