// Two doors that share ids over a Redis of the test's own; infra/redis.services.ts has the same on a real one.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { limits } from '#schemas/limits.ts';
import { everything, fakeCatalogue, freshLog, START, settableClock } from '../features/river.test-support.ts';
import { openDoorIds } from '../ingest/door-ids.ts';
import { openIntake } from '../ingest/intake.ts';
import type { RedisClient } from './redis-client.ts';
import { openSharedIds } from './shared-ids.ts';

let rivers: ReturnType<typeof freshLog>[];
let closing: (() => void)[];
beforeEach(() => {
	rivers = [];
	closing = [];
});
afterEach(async () => {
	for (const close of closing) close();
	for (const { log, remove } of rivers) {
		await log.close();
		remove();
	}
});

function fakeRedis() {
	const values = new Map<string, string>();
	const fake = { values, away: false, questions: [] as (readonly string[])[] };
	const redis: RedisClient = {
		counts: { asked: 0, failed: 0, skipped: 0 },
		async get(keys) {
			fake.questions.push(keys);
			return fake.away ? undefined : keys.map((key) => values.get(key) ?? null);
		},
		async set(entries) {
			if (fake.away) return false;
			for (const { key, value } of entries) values.set(key, value);
			return true;
		},
		run: async () => undefined,
		open: () => fake.away,
		behind: () => [],
	};
	return { ...fake, fake, redis };
}

/** A door with a memory and a log of its own. */
function openDoor(redis: RedisClient) {
	const river = freshLog();
	rivers.push(river);
	const ids = openDoorIds(river.path, { now: START });
	const shared = openSharedIds({ redis, pepper: 'pepper' });
	const intake = openIntake({
		log: river.log,
		ids,
		shared,
		catalogue: fakeCatalogue(['r-0']),
		clock: settableClock(START),
		pepper: 'p',
		events_per_minute: undefined,
	});
	closing.push(() => ids.close());
	return {
		shared,
		stored: async () => (await everything(river.log, 'user-events')).length,
		send: async (...events: Record<string, unknown>[]) => {
			const items = events.map((event) => ({ value: { event_type: 'booking', region_id: 'r-0', ...event } }));
			const statuses = (await intake.take(items, { traceparent: undefined })).map(({ status }) => status);
			await shared.close(); // what is behind the answer
			return statuses;
		},
	};
}

test('an event that one door took is a duplicate or a conflict at the other; each door asks only for ids that it does not know', async () => {
	const { redis, fake, values } = fakeRedis();
	const [one, two] = [openDoor(redis), openDoor(redis)];
	expect(await one.send({ event_id: 'a', user_id: 'u-77' })).toEqual(['accepted']);
	expect([...values]).toEqual([[expect.stringMatching(/^event:[\w-]{22}$/), expect.not.stringContaining('u-77')]]);
	expect(await two.send({ event_id: 'a', user_id: 'u-77' }, { event_id: 'a', user_id: 'u-78' }, { event_id: 'b' }, {})).toEqual([
		'duplicate',
		'conflict',
		'accepted',
		'accepted',
	]);
	expect(await two.stored()).toBe(2);
	fake.questions.length = 0;
	expect(await one.send({ event_id: 'a', user_id: 'u-77' }, {})).toEqual(['duplicate', 'accepted']);
	expect(fake.questions).toEqual([]);
});

test('while Redis is away each door knows its own ids; one question has a bound', async () => {
	const { redis, fake } = fakeRedis();
	const [one, two] = [openDoor(redis), openDoor(redis)];
	fake.away = true;
	expect([await one.send({ event_id: 'a' }), await two.send({ event_id: 'a' }), await one.send({ event_id: 'a' })]).toEqual([
		['accepted'],
		['accepted'],
		['duplicate'],
	]);
	fake.questions.length = 0;
	await one.send(...Array.from({ length: limits.redis_ids_max + 7 }, (_, i) => ({ event_id: `e-${i}` })));
	expect(fake.questions.map((keys) => keys.length)).toEqual([limits.redis_ids_max]);
	expect(one.shared.counts.unasked).toBe(7);
});

test('what the log refused is not told to the other doors', async () => {
	const { redis, values } = fakeRedis();
	const one = openDoor(redis);
	await rivers[0]!.log.close();
	await expect(one.send({ event_id: 'a' })).rejects.toThrow();
	expect(values.size).toBe(0);
});
