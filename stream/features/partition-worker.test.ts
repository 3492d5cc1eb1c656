import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { Event } from '#schemas/event.ts';
import { featureIndex } from '#schemas/feature.ts';
import { type FeatureCheckpoints, Fenced } from '#schemas/feature-checkpoints.ts';
import type { Frame } from '#schemas/internal.ts';
import { partition } from '#schemas/partition.ts';
import { decode, encodeTick } from '../avro/codec.ts';
import { type Appended, type EventLog, LogUnavailable, PositionLost } from '../log/event-log.ts';
import { CorruptRecord } from './inbox.ts';
import { openPartitionWorker } from './partition-worker.ts';
import { booking, everything, fakeCatalogue, finalsOf, freshLog, LATENESS_MS, MINUTE, recordOf, START, settableClock } from './river.test-support.ts';

const REGIONS = ['r-0', 'r-1', 'r-2'];
const open: ReturnType<typeof freshLog>[] = [];
function river(catalogue = fakeCatalogue(REGIONS)) {
	const made = freshLog();
	open.push(made);
	const clock = settableClock(START);
	const counts = { folded: 0, duplicates: 0, late: 0, dead: 0, finals: 0 };
	const { log } = made;
	const worker = (more: { log?: EventLog; checkpoints?: FeatureCheckpoints; records_max?: number } = {}) =>
		openPartitionWorker(0, {
			log: more.log ?? log,
			checkpoints: more.checkpoints ?? log.checkpoints,
			catalogue,
			clock,
			lateness_ms: LATENESS_MS,
			counts,
			read: { records_max: more.records_max ?? 500, bytes_max: 1 << 22 },
		});
	return { log, clock, counts, catalogue, worker, append: (...events: Event[]) => log.append(events.map((event) => recordOf(event))) };
}
afterEach(async () => {
	for (const made of open.splice(0)) {
		await made.log.close();
		made.remove();
	}
});
type Worker = Awaited<ReturnType<typeof openPartitionWorker>>;
async function fold(worker: Worker): Promise<void> {
	while (await worker.look());
}
const rowsOf = (frames: readonly Frame[]) => Object.fromEntries(frames.flatMap(({ regions }) => regions.map((row) => [row.region_id, row])));
const bookings = (worker: Worker, region = 'r-0') => rowsOf(worker.frames(true))[region]?.values[featureIndex.booking_count_60min] ?? null;
const reasons = async (log: EventLog, topic: 'late-events' | 'dead-letter') =>
	(await everything(log, topic)).map(({ headers }) => `${headers?.['source']}: ${headers?.['reason']}`);

/** Some time of a city, as a log has it: in order of stamps, nearly. Anything that may come, comes. */
function city(seed: number, { minutes = 25, size = 300 } = {}): Appended[] {
	let state = seed;
	const random = (below: number): number => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor((state / 2 ** 32) * below);
	};
	const records: Appended[] = [];
	for (let n = 0; n < size; n++) {
		const stamp = START + Math.floor((n / size) * minutes * MINUTE) - (random(10) === 0 ? random(25_000) : 0);
		const behind =
			[random(3000), random(60_000), random(LATENESS_MS), LATENESS_MS + random(MINUTE), -random(4 * MINUTE), -6 * MINUTE][random(12)] ?? random(2000);
		const common = { event_id: `e-${n}`, region_id: REGIONS[random(5)] ?? 'r-0', timestamp: stamp - behind, ingested_at: stamp };
		const kinds: Event[] = [
			booking(common.event_id, common.timestamp, common),
			{ ...common, event_type: 'driver_status', driver_hash: `d-${random(20)}`, status: (['available', 'busy', 'offline'] as const)[random(3)]! },
			{ ...common, event_type: 'supply_snapshot', available_drivers: random(50), busy_drivers: random(50) },
			{ ...common, event_type: 'weather', temperature_c: random(30), precipitation_mm_h: random(5) },
			{ ...common, event_type: 'traffic', traffic_index: 1 + random(3) },
			{ ...common, event_type: 'city_event', name: 'concert', starts_at: stamp, ends_at: stamp + 10 * MINUTE, attendance: null },
		];
		const event = kinds[random(11)] ?? kinds[0]!;
		records.push(recordOf(event));
		if (random(30) === 0) records.push({ ...recordOf(event), value: new Uint8Array([0, 0, 0, 0, 1, 9, 9]) });
	}
	return records;
}

/** What a river shows in the end: its finals, its side topics by source and its live features. */
interface Outcome {
	finals: Map<string, string>;
	late: string[];
	dead: string[];
	rows: unknown;
}
async function outcome(log: EventLog, worker: Worker): Promise<Outcome> {
	const sorted = async (topic: 'late-events' | 'dead-letter') => [...new Set(await reasons(log, topic))].sort();
	return { finals: await finalsOf(log), late: await sorted('late-events'), dead: await sorted('dead-letter'), rows: rowsOf(worker.frames(true)) };
}
const END = START + 45 * MINUTE;

/** From the beginning, at once, without any fault. */
async function undisturbed(records: readonly Appended[], records_max = 500): Promise<Outcome> {
	const { log, clock, worker } = river();
	await log.append(records);
	clock.at = END;
	const only = await worker({ records_max });
	await fold(only);
	return outcome(log, only);
}

describe('openPartitionWorker() whatever happens', () => {
	test('finals, side topics and live features equal those of a run without faults (F1, F2, F5, F15)', async () => {
		await fc.assert(
			fc.asyncProperty(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 1, max: 60 }), async (seed, records_max) => {
				let state = seed;
				const chance = (below: number): boolean => {
					state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
					return (state >>> 8) % below === 0;
				};
				const records = city(seed);
				const { log, clock, worker } = river();
				// Dies at any of these points: before or after an append of finals, before or after the transaction of a save.
				class Killed extends Error {}
				const dying: EventLog = {
					...log,
					async append(batch) {
						if (chance(25)) throw new Killed();
						if (chance(25)) throw new LogUnavailable('full');
						await log.append(batch);
						if (chance(25)) throw new Killed();
					},
				};
				const checkpoints: FeatureCheckpoints = {
					...log.checkpoints,
					async save(...all) {
						if (chance(6)) throw new Error('the store is away');
						if (chance(6)) throw new Killed();
						await log.checkpoints.save(...all);
						if (chance(6)) throw new Killed();
					},
				};
				let current = await worker({ log: dying, checkpoints, records_max });
				const alive = async (work: (worker: Worker) => Promise<unknown>): Promise<void> => {
					await work(current).catch(async (error) => {
						if (error instanceof Killed) current = await worker({ log: dying, checkpoints, records_max });
						else if (!(error instanceof LogUnavailable || String(error).includes('away'))) throw error;
					});
				};
				for (let at = 0; at < records.length; ) {
					const batch = records.slice(at, at + 1 + ((state >>> 8) % 20));
					at += batch.length;
					clock.at = Math.max(clock.at, ...batch.map(({ timestamp }) => timestamp));
					await log.append(batch);
					if (chance(3)) await log.append(batch.filter(() => chance(2)).map((one) => one)); // resent, at once
					if (chance(2)) await alive((one) => one.look());
					if (chance(3)) await alive(async (one) => one.pushed(one.frames(chance(2)), undefined));
					if (chance(4)) await alive((one) => one.save());
					if (chance(12)) current = await worker({ log: dying, checkpoints, records_max });
				}
				clock.at = END;
				const last = await worker({ records_max });
				await fold(last);
				const { finals, rows } = await outcome(log, last);
				const clean = await undisturbed(records);
				expect(clean.finals.size).toBeGreaterThan(20);
				expect(Object.fromEntries(finals)).toEqual(Object.fromEntries(clean.finals));
				expect(rows).toEqual(clean.rows);
			}),
			{ numRuns: 15 },
		);
	}, 60_000);

	test('reading one record at a time or all at once gives the same, side topics too (F15)', async () => {
		const records = city(4711);
		const [one, seven, all] = [await undisturbed(records, 1), await undisturbed(records, 7), await undisturbed(records)];
		expect(one).toEqual(all);
		expect(seven).toEqual(all);
		expect(all.late.length).toBeGreaterThan(3);
		expect(all.dead.length).toBeGreaterThan(3);
	});

	test('shuffled within the lateness it gives the same finals (F6)', async () => {
		await fc.assert(
			fc.asyncProperty(fc.integer({ min: 1, max: 1e9 }), fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), async (seed, noise) => {
				// All are in time at either of two stamps, so that only the order differs.
				const events = city(seed, { minutes: 8, size: 80 }).flatMap(({ value }) => {
					try {
						const decoded = decode(value);
						return decoded.kind === 'event' ? [decoded.event] : [];
					} catch {
						return [];
					}
				});
				const stamp = START + 9 * MINUTE;
				const valid = events.filter(({ timestamp }) => timestamp > START && timestamp < stamp).map((event, i): Event => ({ ...event, ingested_at: stamp + i }));
				const shuffled = valid
					.map((event) => ({ event, at: noise.next().value ?? 0 }))
					.sort((a, b) => a.at - b.at)
					.map(({ event }, i): Event => ({ ...event, ingested_at: stamp + i }));
				const [a, b] = [await undisturbed(valid.map((event) => recordOf(event))), await undisturbed(shuffled.map((event) => recordOf(event)))];
				expect(b.finals).toEqual(a.finals);
				expect(b.rows).toEqual(a.rows);
			}),
			{ numRuns: 10 },
		);
	});
});

describe('look()', () => {
	test('counts an event once however often it is resent, across a save and a restart (F5)', async () => {
		const { clock, counts, worker, append } = river();
		const first = await worker();
		await append(booking('a', START), booking('a', START), booking('a', START + 1, { event_type: 'search' }));
		clock.at = START + 1000;
		await fold(first);
		await first.save();
		const second = await worker();
		await append(booking('a', START, { ingested_at: START + 2000 }), booking('b', START));
		clock.at = START + 3000;
		await fold(second);
		expect(counts).toMatchObject({ folded: 2, duplicates: 3 });
		expect(bookings(second)).toBe(2);
	});

	test('counts an id again once its time has passed, however much a look reads', async () => {
		const again = booking('a', START + 20 * MINUTE, { event_type: 'search' });
		const [live, late] = [river(), river()];
		const first = await live.worker();
		for (const event of [booking('a', START), again]) {
			await live.append(event);
			live.clock.at = event.timestamp + 1;
			await fold(first);
		}
		await late.append(booking('a', START), again);
		late.clock.at = again.timestamp + 1;
		await fold(await late.worker());
		expect(live.counts.folded).toBe(2);
		expect(late.counts.folded).toBe(2);
	});

	test('sends late events to late-events, future ones and unreadable bytes to dead-letter with their bytes and headers; windows stay (F7, F9, F10)', async () => {
		const { log, clock, counts, worker, append } = river();
		await append(
			booking('ok', START),
			booking('late', START - LATENESS_MS - 1, { ingested_at: START }),
			booking('edge', START - LATENESS_MS, { ingested_at: START }),
		);
		await append(booking('future', START + 5 * MINUTE + 1, { ingested_at: START }), booking('soon', START + 5 * MINUTE, { ingested_at: START }));
		const odd: [string, Uint8Array][] = [
			['garbage', new TextEncoder().encode('{"event_id": 1}')],
			['empty', new Uint8Array()],
			['unknown schema', new Uint8Array([0, 0, 0, 3, 231, 1, 2])],
			['2 MB', new Uint8Array(2_000_000)],
			['cut short', recordOf(booking('cut', START)).value.slice(0, 20)],
			['bytes left over', new Uint8Array([...recordOf(booking('cut', START)).value, 1])],
		];
		await log.append(
			odd.map(([h, value]) => ({ topic: 'user-events' as const, partition: 0, key: 'r-0', value, timestamp: START, headers: { traceparent: h } })),
		);
		const signal = {
			...recordOf(booking('x', START)),
			value: (await import('../avro/codec.ts')).encodeSignal({ region_id: 'r-0', kind: 'live', feature_set: 'v1', as_of: 1, values: [] }),
		};
		await log.append([signal, recordOf(booking('nobody', START, { region_id: 'r-unknown' }))]);
		const only = await worker();
		clock.at = START + 1000;
		await fold(only);
		expect(bookings(only)).toBe(2);
		expect(counts).toMatchObject({ folded: 3, late: 1, dead: 9 });
		expect(await reasons(log, 'late-events')).toEqual(['user-events/0/1: 600001 ms late']);
		const dead = await everything(log, 'dead-letter');
		expect(dead.map(({ headers }) => headers?.['reason'])).toEqual([
			'300001 ms ahead of its ingestion',
			expect.stringContaining('no Confluent frame'),
			expect.stringContaining('no Confluent frame'),
			'unknown schema id 999',
			'2000000 bytes are more than a record may have',
			expect.stringContaining('cut short'),
			expect.stringContaining('bytes left over'),
			'a signal does not belong on user-events',
			'unknown region "r-unknown"',
		]);
		for (const [i, [name, value]] of odd.entries()) {
			expect(Buffer.from(dead[i + 1]!.value).equals(Buffer.from(value))).toBe(true);
			expect(dead[i + 1]!.headers?.['traceparent']).toBe(name);
		}
	});

	test('sends a record that lies more than 30 s behind the greatest stamp ahead of it to late-events', async () => {
		const { log, clock, worker, append } = river();
		const stamp = START + MINUTE;
		await append(
			booking('a', START, { ingested_at: stamp }),
			booking('b', START, { ingested_at: stamp - 30_000 }),
			booking('c', START, { ingested_at: stamp - 30_001 }),
		);
		const only = await worker({ records_max: 1 });
		clock.at = stamp;
		await fold(only);
		expect(bookings(only)).toBe(2);
		expect(await reasons(log, 'late-events')).toEqual(['user-events/0/2: stamped 30001 ms before a record ahead of it']);
	});

	test('goes on when two producers stamp 20 s apart and the log is longer than a reading', async () => {
		const { clock, counts, worker, append } = river();
		await append(...Array.from({ length: 100 }, (_, i) => booking(`a-${i}`, START, { ingested_at: START + MINUTE + i - (i % 2) * 20_000 })));
		await append(
			...Array.from(
				{ length: 100 },
				(_, i): Event => ({ event_type: 'traffic', event_id: `t-${i}`, region_id: 'r-0', timestamp: START, ingested_at: START + MINUTE + i, traffic_index: 1 }),
			),
		);
		clock.at = START + 2 * MINUTE;
		const only = await worker({ records_max: 5 });
		let looks = 0;
		while ((await only.look()) && looks < 1000) looks += 1;
		expect(counts.folded).toBe(200);
	});

	test('sends an event whose minute is final to late-events', async () => {
		const { log, clock, worker, append } = river();
		await append(booking('a', START));
		const only = await worker();
		clock.at = START + 20 * MINUTE;
		await fold(only);
		// Appended long after its stamp, which ingestion never does: its own stamp would have it in time.
		await append(booking('b', START + 1, { ingested_at: START + 2 }));
		await fold(only);
		expect(await reasons(log, 'late-events')).toEqual(['user-events/0/1: its minute is final']);
	});

	test('shows a held event when its time has come, not before', async () => {
		const { clock, worker, append } = river();
		await append(booking('now', START), booking('soon', START + 4000, { ingested_at: START }));
		const only = await worker();
		clock.at = START + 1000;
		await fold(only);
		expect(bookings(only)).toBe(1);
		expect(only.dirty).toBe(false);
		expect(only.held_until).toBe(START + 4000);
		clock.at = START + 4000;
		await fold(only);
		expect(only.dirty).toBe(false);
		clock.at = START + 4001;
		await fold(only);
		expect(only.dirty).toBe(true);
		expect(bookings(only)).toBe(2);
		expect(only.held_until).toBe(Number.POSITIVE_INFINITY);
	});

	test('moves as_of with the clock at the end of the log, with the stamps while it lags, and never ahead of the clock', async () => {
		const { clock, worker, append } = river();
		const only = await worker({ records_max: 10 });
		await fold(only);
		expect(only.as_of).toBe(START);
		await append(...Array.from({ length: 95 }, (_, i) => booking(`a-${i}`, START + i * 1000)));
		clock.at = START + 10 * MINUTE;
		expect(await only.look()).toBe(true);
		expect(only.as_of).toBe(START + 9000);
		expect(await only.look()).toBe(true);
		expect(only.as_of).toBe(START + 19_000);
		await fold(only);
		expect(only.as_of).toBe(START + 10 * MINUTE);
		// The clock steps back: as_of stays; stamps ahead of the clock do not pull it along.
		clock.at = START + 9 * MINUTE;
		await append(booking('ahead', START + 11 * MINUTE));
		await fold(only);
		expect(only.as_of).toBe(START + 10 * MINUTE);
	});

	test('does not stand ahead of as_of when a record is stamped after the look began', async () => {
		// A minute is final at :30 of a minute: the clock is just before, the stamp just after.
		const { clock, worker, append } = river();
		const only = await worker();
		await append(booking('a', START));
		clock.at = START + 20 * MINUTE + 29_990;
		await fold(only);
		await append(booking('b', START + 20 * MINUTE, { ingested_at: START + 20 * MINUTE + 30_020 }));
		await fold(only);
		expect(bookings(only)).toBe(2);
	});

	test('makes the finals of every minute of hours of silence, every quarter-hour where nothing happens, in portions', async () => {
		const regions = Array.from({ length: 40 }, (_, i) => `q-${i}`);
		const { log, clock, worker, append, counts } = river(fakeCatalogue(regions));
		await append(...regions.map((region_id) => booking(`x-${region_id}`, START + 30_000, { region_id })));
		clock.at = START + MINUTE;
		const first = await worker();
		await fold(first);
		await first.save();
		clock.at = START + 24 * 60 * MINUTE;
		const second = await worker();
		let looks = 1;
		while (await second.look()) {
			looks += 1;
			second.frames(false); // as_of and windows stay together in between
		}
		expect(looks).toBeGreaterThan(1);
		const minutes = [...(await finalsOf(log)).keys()].filter((at) => at.startsWith('q-7 ')).map((at) => (Date.parse(at.slice(4)) - START) / MINUTE);
		expect(minutes).toEqual(
			[...Array.from({ length: 60 }, (_, i) => i + 1), ...Array.from({ length: 91 }, (_, i) => 75 + i * 15)].filter((m) => m < 24 * 60 - 10.5),
		);
		expect(counts.finals).toBe(minutes.length * regions.length);
	});

	test('a region that appears after hours of catch-up has its finals from its first event on', async () => {
		const { log, clock, worker, append } = river();
		await append(booking('a', START), booking('b', START + 180 * MINUTE, { region_id: 'r-1' }), booking('c', START + 240 * MINUTE));
		clock.at = START + 241 * MINUTE;
		await fold(await worker({ records_max: 1 }));
		const own = [...(await finalsOf(log)).keys()].filter((at) => at.startsWith('r-1 '));
		expect(own[0]).toBe(`r-1 ${new Date(START + 181 * MINUTE).toISOString()}`);
	});

	test('asks the catalogue once a look for a flood of unknown regions, and once more for one that is new', async () => {
		const { clock, counts, catalogue, worker, append } = river();
		await append(...Array.from({ length: 400 }, (_, i) => booking(`u-${i}`, START, { region_id: `nowhere-${i}` })));
		const only = await worker();
		clock.at = START + 1000;
		await fold(only);
		expect(counts.dead).toBe(400);
		expect(catalogue.refreshes).toBe(1);
		catalogue.add('r-new');
		await append(booking('n', START, { region_id: 'r-new' }));
		await fold(only);
		expect(bookings(only, 'r-new')).toBe(1);
	});

	test('waits while the catalogue is away, and loses nothing', async () => {
		const { clock, counts, catalogue, worker, append } = river();
		catalogue.add('r-new');
		catalogue.fail = new Error('no database');
		await append(booking('n', START, { region_id: 'r-new' }), booking('a', START));
		const only = await worker();
		clock.at = START + 1000;
		await expect(only.look()).rejects.toThrow('no database');
		catalogue.fail = undefined;
		await fold(only);
		expect(counts).toMatchObject({ folded: 2, dead: 0 });
	});

	test('puts a region of another partition on dead-letter', async () => {
		const made = freshLog(4);
		open.push(made);
		const counts = { folded: 0, duplicates: 0, late: 0, dead: 0, finals: 0 };
		const elsewhere = partition('r-0', 4);
		const number = (elsewhere + 1) % 4;
		await made.log.append([{ ...recordOf(booking('a', START), 4), partition: number }]);
		const options = {
			log: made.log,
			checkpoints: made.log.checkpoints,
			catalogue: fakeCatalogue(REGIONS),
			clock: settableClock(START),
			lateness_ms: LATENESS_MS,
			counts,
		};
		await fold(await openPartitionWorker(number, options));
		expect(await reasons(made.log, 'dead-letter')).toEqual([`user-events/${number}/0: region "r-0" belongs to partition ${elsewhere}`]);
	});

	test('appends finals and asides that the log refused before it reads on or saves', async () => {
		const { log, clock, worker, append } = river();
		let full = true;
		const fragile: EventLog = { ...log, append: async (records) => (full ? Promise.reject(new LogUnavailable('full')) : log.append(records)) };
		await append(booking('late', START - LATENESS_MS - 1, { ingested_at: START }), booking('a', START));
		const only = await worker({ log: fragile });
		clock.at = START + 20 * MINUTE;
		await expect(only.look()).rejects.toThrow(LogUnavailable);
		await expect(only.save()).rejects.toThrow(LogUnavailable);
		await append(booking('b', START + 19 * MINUTE));
		await expect(only.look()).rejects.toThrow(LogUnavailable);
		full = false;
		await fold(only);
		expect(await reasons(log, 'late-events')).toHaveLength(1);
		expect((await finalsOf(log)).size).toBe(9);
		expect(bookings(only)).toBe(2);
	});

	test('folds what lies before a record whose stored bytes changed, then stops there by name, and goes on when it reads well again (F18)', async () => {
		const { log, clock, counts, worker, append } = river();
		await append(booking('a', START), booking('b', START + 1), booking('c', START + 2));
		let flipped = true;
		const damaged: EventLog = {
			...log,
			read: async (topic, number, options) =>
				(await log.read(topic, number, options)).map((record) =>
					flipped && topic === 'user-events' && record.offset === 1 ? { ...record, corrupt: true } : record,
				),
		};
		clock.at = START + 1000;
		const only = await worker({ log: damaged });
		await only.look();
		await expect(only.look()).rejects.toThrow(new CorruptRecord('record user-events/0@1 of the log fails its checksum'));
		await expect(only.look()).rejects.toThrow(CorruptRecord);
		expect(counts).toMatchObject({ folded: 1, dead: 0 });
		expect(only.as_of).toBe(START); // not beyond: its regions age at the edge
		expect(await everything(log, 'dead-letter')).toEqual([]);
		await only.save();
		const next = await worker({ log: damaged });
		await expect(next.look()).rejects.toThrow('user-events/0@1');
		flipped = false;
		await fold(next);
		expect(bookings(next)).toBe(3);
	});

	test('throws PositionLost when the log was cut under it, and starts at the oldest record where it has no place (F13)', async () => {
		const { log, clock, worker, append } = river();
		await append(booking('a', START));
		const first = await worker();
		await fold(first);
		await first.save();
		await append(booking('b', START + 1), booking('c', START + 2));
		clock.at = START + 100 * 24 * 60 * MINUTE;
		await log.expire(clock.at);
		await expect((await worker()).look()).rejects.toThrow(PositionLost);
		const fresh = await worker({ checkpoints: { ...log.checkpoints, load: async () => undefined } });
		await fresh.look();
		expect(fresh.regions).toBe(1);
	});

	test('on the city clock stands where the last tick of all topics is', async () => {
		const { log, clock, worker, append } = river();
		clock.virtual = true;
		const tick = (now: number, topic: 'user-events' | 'supply-events' | 'external-events') => ({
			topic,
			partition: 0,
			key: 'tick',
			value: encodeTick(now),
			timestamp: now,
		});
		await append(booking('a', START + 1000, { ingested_at: START + MINUTE }));
		clock.at = START + MINUTE;
		const only = await worker();
		await fold(only);
		expect(only.as_of).toBe(0);
		await log.append([tick(clock.at, 'user-events'), tick(clock.at, 'supply-events')]);
		await fold(only);
		expect(only.as_of).toBe(0);
		await log.append([tick(clock.at, 'external-events')]);
		await fold(only);
		expect(only.as_of).toBe(START + MINUTE);
		const [frame] = only.frames(true);
		expect(frame).toMatchObject({ now: START + MINUTE, as_of: START + MINUTE, whole: true });
		await only.save();
		const again = await worker();
		await fold(again);
		expect(again.as_of).toBe(START + MINUTE);
	});
});

describe('frames() and pushed()', () => {
	const answer = (frame: Frame, more = {}) => ({ shard: 0, taken: true, epoch: frame.epoch, seq: frame.seq, whole_wanted: false, unknown: [], ...more });

	test('a region stays dirty until a frame with it is acknowledged', async () => {
		const { clock, worker, append } = river();
		await append(booking('a', START));
		const only = await worker();
		clock.at = START + 1000;
		await fold(only);
		const lost = only.frames(false);
		expect(only.dirty).toBe(false);
		expect(await only.pushed(lost, undefined)).toEqual({ taken: false, whole_wanted: false });
		expect(only.dirty).toBe(true);
		const [told] = only.frames(false);
		expect(told!.seq).toBeGreaterThan(lost[0]!.seq);
		expect(told!.regions[0]!.usual_week).toHaveLength(168); // with the first
		expect(await only.pushed([told!], [answer(told!)])).toEqual({ taken: true, whole_wanted: false });
		expect(only.dirty).toBe(false);
		expect(only.frames(true)[0]!.regions[0]!.usual_week).toBeUndefined();
	});

	test('a Shard that lost its memory or its entry gets the weeks again', async () => {
		const { clock, worker, append } = river();
		await append(booking('a', START));
		const only = await worker();
		clock.at = START + 1000;
		await fold(only);
		const [first] = only.frames(true);
		expect(await only.pushed([first!], [answer(first!, { whole_wanted: true })])).toEqual({ taken: true, whole_wanted: true });
		const [second] = only.frames(true);
		expect(second!.regions[0]!.usual_week).toHaveLength(168);
		await only.pushed([second!], [answer(second!, { unknown: ['r-0'] })]);
		const [third] = only.frames(true);
		expect(third!.regions[0]!.usual_week).toHaveLength(168);
	});

	test('an owner raises its epoch above a pair that a Shard holds; a zombie is Fenced and leaves the owner alone (F4)', async () => {
		const { clock, worker, append } = river();
		await append(booking('a', START));
		const zombie = await worker();
		clock.at = START + 1000;
		await fold(zombie);
		const [frame] = zombie.frames(true);
		expect(await zombie.pushed([frame!], [answer(frame!, { taken: false, epoch: 77, seq: 5 })])).toEqual({ taken: false, whole_wanted: true });
		expect(zombie.frames(true)[0]).toMatchObject({ epoch: 78, seq: 1 });
		const owner = await worker();
		await fold(owner);
		const [theirs] = owner.frames(true);
		expect(theirs!.epoch).toBe(79);
		const [stale] = zombie.frames(true);
		await expect(zombie.pushed([stale!], [answer(stale!, { taken: false, epoch: 79, seq: 1 })])).rejects.toThrow(Fenced);
		await expect(zombie.save()).rejects.toThrow(Fenced);
		await owner.save();
		expect(owner.frames(true)[0]!.epoch).toBe(79);
	});

	test('frames of 450 regions are three, the last whole', async () => {
		const ids = Array.from({ length: 450 }, (_, i) => `q-${i}`);
		const { clock, worker, append } = river(fakeCatalogue(ids));
		await append(...ids.map((region_id) => booking(region_id, START, { region_id })));
		const only = await worker();
		clock.at = START + 1000;
		await fold(only);
		const first = only.frames(true);
		await only.pushed(
			first,
			first.map((frame) => answer(frame)),
		);
		const frames = only.frames(true);
		expect(frames.map(({ regions, whole }) => [regions.length, whole])).toEqual([
			[200, false],
			[200, false],
			[50, true],
		]);
		for (const frame of [...first, ...frames]) expect(JSON.stringify(frame).length).toBeLessThanOrEqual(200 * 1024);
	});

	test('live vectors are logged once a minute', async () => {
		const { log, clock, worker, append } = river();
		await append(booking('a', START));
		const only = await worker();
		for (const seconds of [1, 11, 21, 61, 71]) {
			clock.at = START + seconds * 1000;
			await fold(only);
			only.frames(true);
			only.frames(false);
		}
		await fold(only);
		await log.append([recordOf(booking('b', START))]); // live vectors are on their way by then
		const live = (await everything(log, 'demand-signals')).map(({ timestamp }) => timestamp - START);
		expect(live).toEqual([1000, 61_000]);
	});
});

test('openPartitionWorker() folds again from the log when its checkpoint is of a form that this release does not read, and replaces it', async () => {
	const { log, clock, counts, worker, append } = river();
	await append(booking('a', START), booking('b', START, { region_id: 'r-1' }));
	clock.at = START + 1000;
	const first = await worker();
	await fold(first);
	await first.save();
	const { checkpoints } = log;
	const older: FeatureCheckpoints = {
		...checkpoints,
		async load(number) {
			const stored = await checkpoints.load(number);
			return stored && { ...stored, regions: stored.regions.map((region) => ({ ...region, recent: Uint8Array.of(0, ...region.recent.subarray(1)) })) };
		},
	};
	const troubles: string[] = [];
	const made = { log, clock, lateness_ms: LATENESS_MS, counts, catalogue: fakeCatalogue(REGIONS) };
	const second = await openPartitionWorker(0, { ...made, checkpoints: older, onTrouble: (text) => troubles.push(text) });
	expect(troubles).toEqual(['Partition 0 is folded again from the start of the log: Cannot restore a window: its form is 0, this release reads 1']);
	expect(second.as_of).toBe(0);
	await fold(second);
	expect([bookings(second), bookings(second, 'r-1')]).toEqual([1, 1]);
	await second.save();
	const third = await worker();
	expect([third.as_of, bookings(third), bookings(third, 'r-1')]).toEqual([START + 1000, 1, 1]);
	await fold(third);
	expect(counts).toMatchObject({ folded: 4, duplicates: 0 });
});

test('save() after failures keeps ids and day blocks, and the store does not grow for ever', async () => {
	const { log, clock, worker, append } = river();
	let away = true;
	const checkpoints: FeatureCheckpoints = {
		...log.checkpoints,
		save: async (...all) => (away ? Promise.reject(new Error('away')) : log.checkpoints.save(...all)),
	};
	const first = await worker({ checkpoints });
	for (let n = 0; n < 5; n++) {
		clock.at = START + n * 1000;
		await append(booking(`a-${n}`, clock.at));
		await fold(first);
		await expect(first.save()).rejects.toThrow('away');
	}
	away = false;
	await first.save();
	const second = await worker();
	for (let n = 0; n < 5; n++) await append(booking(`a-${n}`, START + n * 1000));
	clock.at += 1000;
	await fold(second);
	expect(bookings(second)).toBe(5);
	// Rolling average and ratios live on the day blocks: they are there as well.
	expect(rowsOf(second.frames(true))['r-0']!.values[featureIndex.rolling_avg_7d]).toBeCloseTo(5 / 12);
	for (let minute = 1; minute < 120; minute++) {
		clock.at = START + minute * MINUTE;
		await append(booking(`m-${minute}`, clock.at));
		await fold(second);
		await second.save();
	}
	const { ids } = (await log.checkpoints.load(0))!;
	expect(ids.length).toBeLessThan(30);
});
