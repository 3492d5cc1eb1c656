import { abortAllDurableObjects, evictDurableObject, reset, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { pulse } from '#models/forecast/pulse.ts';
import { usualAt, usualForecast } from '#models/forecast/usual.ts';
import type { RefreshAnswer, RefreshQuestion } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { clientKeys, entry, frame, ruleSet, sha256, signedRelease, vector } from '../test-support.ts';
import type { ShardEnvironment } from './environment.ts';
import type { Shard } from './shard.ts';

const { SHARD, RELEASES } = env as unknown as ShardEnvironment;
let number = 0;
/** An object of its own for each test. */
const newShard = () => SHARD.getByName(`shard/test-${++number}`);
type Stub = ReturnType<typeof newShard>;

async function ask(shard: Stub, regions: RefreshQuestion['regions'], rest: Partial<RefreshQuestion> = {}): Promise<RefreshAnswer> {
	return JSON.parse(await shard.refresh({ regions, bodies: [], keys: null, ...rest })) as RefreshAnswer;
}
const snapshotOf = async (shard: Stub, id: string) => (await ask(shard, [[id, null]])).snapshots[0]!;

/** With release 1 and the regions given. */
async function openShard(...regions: Parameters<typeof entry>[]): Promise<Stub> {
	const shard = newShard();
	const { pointer, bodies } = await signedRelease(1);
	await shard.takeRelease(pointer, bodies);
	await shard.takeEntries(regions.map((one) => entry(...one)));
	return shard;
}
/** An error of an object that a test calls directly, not over RPC, where Vitest would count it as unhandled. */
const refusal = (shard: Stub, call: (instance: Shard) => Promise<unknown>): Promise<string> =>
	runInDurableObject(shard, async (instance: Shard) =>
		call(instance).then(
			() => 'no refusal',
			(error: unknown) => String(error),
		),
	);

afterEach(async () => {
	vi.useRealTimers();
	vi.restoreAllMocks();
	await reset();
});

describe('takeFrame()', () => {
	it('F30 takes a frame only if its (epoch, seq) is greater, and a refusal names the pair held', async () => {
		const shard = await openShard(['a']);
		const take = async (epoch: number, seq: number) => {
			const { taken, epoch: heldEpoch, seq: heldSeq } = await shard.takeFrame(frame(0, { epoch, seq }, { regions: ['a'] }));
			return [taken, heldEpoch, heldSeq];
		};
		expect(await take(2, 5)).toEqual([true, 2, 5]);
		expect(await take(2, 5)).toEqual([false, 2, 5]);
		expect(await take(2, 4)).toEqual([false, 2, 5]);
		expect(await take(1, 99)).toEqual([false, 2, 5]);
		expect(await take(2, 7)).toEqual([true, 2, 7]);
		expect(await take(3, 1)).toEqual([true, 3, 1]);
		expect(await take(2, 8)).toEqual([false, 3, 1]);
		expect((await shard.state(0)).refused).toEqual({ frames: 4, releases: 0, entries: 0 });
		expect((await snapshotOf(shard, 'a')).features?.version).toBe(3 * 2 ** 32 + 1);
	});

	it('names the regions that have no entry, and keeps nothing of them', async () => {
		const shard = await openShard(['a']);
		const answer = await shard.takeFrame(frame(0, { seq: 1 }, { regions: ['a', 'stranger'] }));
		expect(answer).toMatchObject({ taken: true, unknown: ['stranger'] });
		await shard.takeEntries([entry('stranger')]);
		expect((await snapshotOf(shard, 'stranger')).features).toBeNull();
	});

	it('wants a whole frame until one came', async () => {
		const shard = await openShard(['a']);
		expect(await shard.takeFrame(frame(0, { seq: 1 }, { regions: ['a'] }))).toMatchObject({ whole_wanted: true });
		expect(await shard.takeFrame(frame(0, { seq: 2 }, { regions: ['a'], whole: true }))).toMatchObject({ whole_wanted: false });
		expect(await shard.takeFrame(frame(0, { seq: 3 }, { regions: ['a'] }))).toMatchObject({ whole_wanted: false });
	});

	it('forecasts each region, and leaves the others as they are', async () => {
		const shard = await openShard(['a'], ['b']);
		const busy = vector({ recent_bookings: 60 });
		await shard.takeFrame(frame(0, { seq: 1 }, { regions: ['b'] }));
		await shard.takeFrame(frame(0, { seq: 2 }, { as_of: 1000, regions: [{ region_id: 'a', values: busy, busy_drivers: 3 }] }));
		const { snapshots } = await ask(shard, [
			['a', null],
			['b', null],
		]);
		expect(snapshots[0]).toMatchObject({
			features: { as_of: 1000, values: busy, busy_drivers: 3, version: 2 ** 32 + 2 },
			forecasts: { champion: pulse(busy), canary: null },
		});
		expect(snapshots[1]?.features?.version).toBe(2 ** 32 + 1);
	});
});

describe('takeEntries()', () => {
	it('takes newer entries; an older one is a success that changes nothing', async () => {
		const shard = await openShard(['a', { version: 5, name: 'five' }]);
		const before = await snapshotOf(shard, 'a');
		await shard.takeEntries([entry('a', { version: 4, name: 'four', frozen: true }), entry('a', { version: 5, name: 'again' })]);
		expect(await snapshotOf(shard, 'a')).toEqual(before);
		await shard.takeEntries([entry('a', { version: 6, name: 'six', frozen: true })]);
		expect((await snapshotOf(shard, 'a')).region).toMatchObject({ name: 'six', frozen: true, version: 6 });
		expect((await shard.state(0)).entries).toEqual({ a: 6 });
	});

	it('takes no new region beyond its limit, names it, and takes the rest', async () => {
		const shard = await openShard(['a'], ['b']);
		vi.spyOn(limits, 'shard_regions_max', 'get').mockReturnValue(3 as never);
		const given = [entry('c'), entry('d'), entry('a', { version: 2, frozen: true }), entry('e')];
		expect(await refusal(shard, (o) => o.takeEntries(given))).toMatch('Cannot take region "d" and 1 more: the shard has 3 regions already');
		expect(await shard.state(0)).toMatchObject({ entries: { a: 2, b: 1, c: 1 }, refused: { entries: 2 } });
		await evictDurableObject(shard);
		expect((await shard.state(0)).entries).toEqual({ a: 2, b: 1, c: 1 });
	});
});

describe('takeRelease()', () => {
	it('F31 refuses a bad signature, another kid and a body that is not of its digest; the release held stays whole', async () => {
		const shard = await openShard(['a']);
		const forged = await signedRelease(2, { key: 'stream' });
		const wrongKid = await signedRelease(2, { key: 'stream', kid: 'stream' });
		const altered = await signedRelease(2, { ruleSets: [ruleSet({ currency: 'USD' })] });
		const [digest] = Object.keys(altered.bodies);
		const { pointer } = await signedRelease(2);
		const flipped = { ...pointer, jws: pointer.jws.replace(/\.[^.]{4}/, '.AAAA') };
		expect(await refusal(shard, (o) => o.takeRelease(forged.pointer, forged.bodies))).toMatch(/signature/);
		expect(await refusal(shard, (o) => o.takeRelease(wrongKid.pointer, wrongKid.bodies))).toMatch(/signed by "stream", wanted "control-plane"/);
		expect(await refusal(shard, (o) => o.takeRelease(flipped, {}))).not.toBe('no refusal');
		expect(await refusal(shard, (o) => o.takeRelease(altered.pointer, { [digest!]: JSON.stringify(ruleSet()) }))).toMatch(/is another one/);
		expect((await shard.state(0)).refused.releases).toBe(4);
		expect((await snapshotOf(shard, 'a')).release).toBe(1);
	});

	it('F31 refuses an older number by naming the one held, and takes the same again', async () => {
		const shard = await openShard(['a']);
		const seven = await signedRelease(7);
		expect(await shard.takeRelease(seven.pointer, seven.bodies)).toBe(7);
		const six = await signedRelease(6);
		expect(await shard.takeRelease(six.pointer, six.bodies)).toBe(7);
		const id = (await snapshotOf(shard, 'a')).snapshot_id;
		expect(await shard.takeRelease(seven.pointer, {})).toBe(7);
		expect((await snapshotOf(shard, 'a')).snapshot_id).toBe(id);
		expect((await shard.state(0)).refused.releases).toBe(1);
	});

	it('needs every body: pushed, held or in KV', async () => {
		const shard = await openShard(['a']);
		const document = ruleSet({ rounding: { step: '0.10', mode: 'down' } });
		const { pointer, bodies, content } = await signedRelease(2, { ruleSets: [ruleSet(), document, ruleSet({ name: 'other' })].slice(1) });
		const [digest, other] = [content.rule_sets['city']!.digest, content.rule_sets['other']!.digest];
		expect(await refusal(shard, (o) => o.takeRelease(pointer, { [other]: bodies[other]! }))).toMatch(`nobody has the body of rule set ${digest}`);
		expect(await snapshotOf(shard, 'a')).toMatchObject({ release: 1, rule_set: { version: 1 } });
		await RELEASES.put(`rule-set/${digest}`, bodies[digest]!);
		expect(await shard.takeRelease(pointer, { [other]: bodies[other]! })).toBe(2);
		const answer = await ask(shard, [['a', null]]);
		expect(answer.snapshots[0]).toMatchObject({ release: 2, rule_set: { version: 2, digest } });
		expect(answer.bodies).toEqual({ [digest]: bodies[digest] });
		const again = await signedRelease(3, { ruleSets: [document] });
		expect(await shard.takeRelease(again.pointer, {})).toBe(3); // held
	});

	it('refuses another release of the number held: memory and storage stay one', async () => {
		const shard = await openShard(['a']);
		const two = await signedRelease(2);
		await shard.takeRelease(two.pointer, two.bodies);
		const other = await signedRelease(2, { ruleSets: [ruleSet({ currency: 'USD' })] });
		expect(await refusal(shard, (o) => o.takeRelease(other.pointer, other.bodies))).toMatch('another one of this number is in force');
		const before = await snapshotOf(shard, 'a');
		await evictDurableObject(shard);
		expect((await snapshotOf(shard, 'a')).rule_set).toEqual(before.rule_set);
		expect((await ask(shard, [['a', null]])).bodies).toEqual(two.bodies);
	});

	it('refuses rule sets beyond the limit of their characters', async () => {
		const shard = await openShard(['a']);
		const { pointer, bodies } = await signedRelease(2, { ruleSets: [ruleSet(), ruleSet({ name: 'other' })] });
		vi.spyOn(limits, 'release_bodies_chars_max', 'get').mockReturnValue(400 as never);
		expect(await refusal(shard, (o) => o.takeRelease(pointer, bodies))).toMatch(/its rule sets have \d+ characters, at most 400 are wanted/);
		expect((await shard.state(0)).refused.releases).toBe(1);
		vi.restoreAllMocks();
		expect(await shard.takeRelease(pointer, bodies)).toBe(2);
	});

	it('stores a release whole or not at all', async () => {
		const shard = await openShard(['a']);
		const two = await signedRelease(2, { ruleSets: [ruleSet({ currency: 'USD' })] });
		const failed = await runInDurableObject(shard, async (instance: Shard, state) => {
			const { sql } = state.storage;
			// The bodies are written by then, the pointer is not.
			sql.exec("CREATE TRIGGER dies BEFORE INSERT ON value BEGIN SELECT RAISE(ABORT, 'the disk is full'); END");
			const said = await instance.takeRelease(two.pointer, two.bodies).then(
				() => 'taken',
				(error: unknown) => String(error),
			);
			sql.exec('DROP TRIGGER dies');
			return said;
		});
		expect(failed).toMatch('the disk is full');
		const before = await ask(shard, [['a', null]]);
		expect(before.release).toBe(1);
		await evictDurableObject(shard);
		expect(await ask(shard, [['a', null]])).toMatchObject({ release: 1, bodies: before.bodies });
		expect(await shard.takeRelease(two.pointer, two.bodies)).toBe(2);
	});

	it('keeps the newer clients keys', async () => {
		const shard = newShard();
		const take = async (release: number, keys: number) => {
			const { pointer, bodies } = await signedRelease(release, { keys: clientKeys(keys) });
			await shard.takeRelease(pointer, bodies);
			return (await shard.state(0)).keys_version;
		};
		expect([await take(1, 3), await take(2, 2), await take(2, 4)]).toEqual([3, 3, 4]);
	});

	it('converges when two releases arrive together', async () => {
		const shard = await openShard(['a']);
		const both = await Promise.all([signedRelease(3), signedRelease(2)]);
		await Promise.all(both.map(({ pointer, bodies }) => shard.takeRelease(pointer, bodies)));
		expect((await snapshotOf(shard, 'a')).release).toBe(3);
	});
});

describe('refresh()', () => {
	it('answers only what differs, bodies and keys only where they are lacked, and unknown regions', async () => {
		const shard = await openShard(['a'], ['b']);
		const first = await ask(shard, [
			['a', null],
			['b', null],
			['nowhere', null],
		]);
		expect(first).toMatchObject({
			release: 1,
			unknown: ['nowhere'],
			soft_ms: limits.soft_ms,
			hard_ms: limits.hard_ms,
			now: null,
			pointer_keys: { version: 1 },
		});
		expect(first.snapshots.map(({ region }) => region.region_id)).toEqual(['a', 'b']);
		const [digest] = Object.keys(first.bodies);
		expect(await sha256(first.bodies[digest!]!)).toBe(digest);
		await shard.takeFrame(frame(0, { seq: 1 }, { regions: ['b'] }));
		const second = await ask(
			shard,
			first.snapshots.map(({ region, snapshot_id }) => [region.region_id, snapshot_id] as [string, string]),
			{ bodies: [digest!], keys: 1 },
		);
		expect(second.snapshots.map(({ region }) => region.region_id)).toEqual(['b']);
		expect(second).toMatchObject({ bodies: {}, unknown: [] });
		expect(second.pointer_keys).toBeUndefined();
	});

	it('gives a snapshot a new id on a frame, a release and an entry, and the same while nothing changes', async () => {
		const shard = await openShard(['a']);
		const id = async () => (await snapshotOf(shard, 'a')).snapshot_id;
		const ids = [await id()];
		expect(await id()).toBe(ids[0]);
		await shard.takeFrame(frame(0, { seq: 1 }, { regions: ['a'] }));
		ids.push(await id());
		const { pointer, bodies } = await signedRelease(2);
		await shard.takeRelease(pointer, bodies);
		ids.push(await id());
		await shard.takeEntries([entry('a', { version: 2 })]);
		ids.push(await id());
		expect(await id()).toBe(ids[3]);
		expect(new Set(ids).size).toBe(4);
	});

	it('has no snapshot without a release, or without the rule set of the region', async () => {
		const shard = newShard();
		await shard.takeEntries([entry('a'), entry('b', { rule_set: 'missing' })]);
		expect(await ask(shard, [['a', null]])).toMatchObject({ release: null, snapshots: [], unknown: [] });
		const { pointer, bodies } = await signedRelease(1);
		await shard.takeRelease(pointer, bodies);
		const answer = await ask(shard, [
			['a', null],
			['b', null],
		]);
		expect(answer.snapshots).toHaveLength(1);
		expect(answer.unknown).toEqual([]);
	});

	it('carries the usual of now: of the profile, then of the frames week; computed again when a minute old', async () => {
		vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-12T00:30:00Z') });
		const profile = Array.from({ length: 168 }, (_, hour) => 10 + hour);
		const week = profile.map((n) => n * 2);
		const shard = await openShard(['a', { profile, time_zone: 'UTC' }], ['b']);
		const usual = (of: number[]) => usualForecast(usualAt({ week: of, at: Date.now(), time_zone: 'UTC' }));
		const first = await snapshotOf(shard, 'a');
		expect(first.usual).toEqual(usual(profile));
		expect((await snapshotOf(shard, 'b')).usual).toBeNull();
		vi.setSystemTime(Date.now() + limits.usual_refresh_ms - 1);
		expect((await snapshotOf(shard, 'a')).snapshot_id).toBe(first.snapshot_id);
		vi.setSystemTime(Date.now() + 3_600_000);
		const later = await snapshotOf(shard, 'a');
		expect(later.snapshot_id).not.toBe(first.snapshot_id);
		expect(later.usual).toEqual(usual(profile));
		await shard.takeFrame(frame(0, { seq: 1 }, { regions: [{ region_id: 'a', usual_week: week }] }));
		expect((await snapshotOf(shard, 'a')).usual).toEqual(usual(week));
	});

	it('takes now from the last frame under a city clock, and then no copy is fresh', async () => {
		const shard = await openShard(['a', { profile: new Array(168).fill(5) }]);
		const now = Date.parse('2015-05-01T12:00:00Z');
		await shard.takeFrame(frame(0, { seq: 1 }, { now, as_of: now, regions: ['a'] }));
		expect(await ask(shard, [['a', null]])).toMatchObject({ now, soft_ms: 0, hard_ms: 0 });
		expect(await shard.features('a')).toMatchObject({ now, as_of: now });
	});

	it('asks for patience when it is asked too often', async () => {
		const shard = await openShard(['a']);
		const soft = await runInDurableObject(shard, async (instance: Shard) => {
			vi.useFakeTimers({ toFake: ['Date'], now: 1_800_000_000_000 });
			const softs: number[] = [];
			const once = async () => (JSON.parse(await instance.refresh({ regions: [], bodies: [], keys: null })) as RefreshAnswer).soft_ms;
			for (let i = 0; i < limits.shard_busy_per_second + 1; i++) softs.push(await once());
			vi.setSystemTime(Date.now() + 1000);
			softs.push(await once());
			vi.setSystemTime(Date.now() + 1000);
			softs.push(await once());
			return softs.slice(-4);
		});
		expect(soft).toEqual([limits.soft_ms, limits.soft_busy_ms, limits.soft_busy_ms, limits.soft_ms]);
	});
});

describe('features()', () => {
	it('tells what the edge has of a region, and null without an entry', async () => {
		const shard = await openShard(['a']);
		expect(await shard.features('a')).toMatchObject({ region_id: 'a', version: null, as_of: null, values: null });
		await shard.takeFrame(frame(0, { seq: 4 }, { as_of: 1234, regions: ['a'] }));
		expect(await shard.features('a')).toMatchObject({ version: 2 ** 32 + 4, as_of: 1234, values: vector() });
		expect(await shard.features('b')).toBeNull();
	});
});

describe('F25: an eviction', () => {
	for (const [how, lose] of [
		['evictDurableObject()', (shard: Stub) => evictDurableObject(shard)],
		['abortAllDurableObjects()', () => abortAllDurableObjects()],
	] as const)
		it(`loses nothing that was acknowledged but the features of the last 30 s: ${how}`, async () => {
			const name = `shard/kept-${++number}`;
			const again = () => SHARD.getByName(name);
			const { pointer, bodies } = await signedRelease(3);
			await again().takeRelease(pointer, bodies);
			await again().takeEntries([entry('a', { frozen: true, version: 9 })]);
			const first = frame(0, { epoch: 4, seq: 1 }, { whole: true, as_of: 1000, regions: [{ region_id: 'a', usual_week: new Array(168).fill(7) }] });
			expect(await again().takeFrame(first)).toMatchObject({ whole_wanted: false }); // a new epoch: stored at once
			await again().takeFrame(frame(0, { epoch: 4, seq: 2 }, { as_of: 2000, regions: ['a'] }));
			const before = await snapshotOf(again(), 'a');
			await lose(again());
			const after = await snapshotOf(again(), 'a');
			expect(after).toMatchObject({ region: { frozen: true, version: 9 }, release: 3, rule_set: before.rule_set });
			expect(after.features).toMatchObject({ as_of: 1000, version: 4 * 2 ** 32 + 1 });
			expect(after.usual).not.toBeNull();
			expect(after.snapshot_id).not.toBe(before.snapshot_id);
			expect((await ask(again(), [['a', null]])).bodies).toEqual(bodies);
			// The zombie of an older epoch is refused still; the owner goes on.
			expect(await again().takeFrame(frame(0, { epoch: 3, seq: 99 }, { regions: ['a'] }))).toMatchObject({ taken: false, epoch: 4, seq: 1 });
			expect(await again().takeFrame(frame(0, { epoch: 4, seq: 3 }, { as_of: 3000, regions: ['a'] }))).toMatchObject({ taken: true, whole_wanted: true });
			expect((await snapshotOf(again(), 'a')).features?.as_of).toBe(3000);
		});

	it('gives back every feature 30 s after the last store, of more regions than one stored value holds', async () => {
		const ids = Array.from({ length: 1200 }, (_, n) => `r-${n}`);
		const shard = await openShard(...ids.map((id) => [id] as [string]));
		const week = Array.from({ length: 168 }, (_, hour) => Math.sqrt(hour + 2));
		const values = vector({ recent_bookings: Math.PI, usual_60min: Math.E * 100 });
		vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
		await shard.takeFrame(frame(0, { seq: 1 }));
		vi.setSystemTime(Date.now() + limits.features_store_ms);
		const regions = ids.map((region_id) => ({ region_id, usual_week: week, values }));
		await shard.takeFrame(frame(0, { seq: 2 }, { as_of: 5000, regions }));
		await evictDurableObject(shard);
		const { snapshots } = await ask(
			shard,
			ids.map((id) => [id, null] as [string, null]),
		);
		expect(snapshots).toHaveLength(ids.length);
		expect(new Set(snapshots.map(({ features }) => features?.as_of))).toEqual(new Set([5000]));
		expect(snapshots[0]?.features?.values).toEqual(values);
		expect(await shard.state(0)).toMatchObject({ epoch: 1, seq: 2, as_of: 5000 });
	});

	it('between any two frames leaves features at most 40 s older, and loses no entry, freeze or release', async () => {
		const shard = newShard();
		const start = Date.now();
		vi.useFakeTimers({ toFake: ['Date'], now: start });
		const [one, two] = [await signedRelease(1), await signedRelease(2)];
		await shard.takeRelease(one.pointer, one.bodies);
		await evictDurableObject(shard);
		await shard.takeEntries([entry('a')]);
		await evictDurableObject(shard);
		const ages: number[] = [];
		for (let step = 1; step <= 24; step++) {
			const as_of = start + step * limits.confirm_ms;
			vi.setSystemTime(as_of);
			expect(await shard.takeFrame(frame(0, { seq: step }, { as_of, regions: ['a'], whole: true }))).toMatchObject({ taken: true, seq: step });
			if (step === 12) await shard.takeEntries([entry('a', { version: 2, frozen: true })]);
			if (step === 18) await shard.takeRelease(two.pointer, two.bodies);
			await evictDurableObject(shard);
			const snapshot = await snapshotOf(shard, 'a');
			expect(snapshot).toMatchObject({ region: { frozen: step >= 12 }, release: step >= 18 ? 2 : 1 });
			// The oldest that anybody sees: just before the next frame.
			ages.push(as_of + limits.confirm_ms - snapshot.features!.as_of);
		}
		expect(Math.max(...ages)).toBeLessThanOrEqual(limits.features_store_ms + limits.confirm_ms);
		expect(Math.max(...ages)).toBeGreaterThan(limits.confirm_ms); // it does lose some
	});

	it.each<[what: string, write: (shard: Stub) => Promise<unknown>, once: object]>([
		['entries', (shard) => shard.takeEntries([entry('a', { version: 2, frozen: true })]), { entries: { a: 2 } }],
		['a frame', (shard) => shard.takeFrame(frame(0, { epoch: 2, seq: 7 }, { as_of: 7, regions: ['a'] })), { epoch: 2, seq: 7, as_of: 7 }],
		['a release', async (shard) => signedRelease(2).then(({ pointer, bodies }) => shard.takeRelease(pointer, bodies)), { release: 2 }],
	])('F26 during the write of %s: it is applied once, however often it is repeated', async (_, write, once) => {
		const shard = await openShard(['a']);
		// The caller cannot know whether it was applied before the reset.
		const [answer] = await Promise.allSettled([write(shard), abortAllDurableObjects()]);
		expect(['fulfilled', 'rejected']).toContain(answer?.status);
		const again = SHARD.get(shard.id);
		await write(again);
		const state = await again.state(0);
		expect(state).toMatchObject(once);
		const snapshot = await snapshotOf(again, 'a');
		await write(again);
		const { refused: _r, ...before } = state;
		const { refused: _s, ...after } = await again.state(0);
		expect(after).toEqual(before);
		expect(await snapshotOf(again, 'a')).toEqual(snapshot);
	});

	it('F26 applies a frame once, whatever the writer does after a reset', async () => {
		const shard = await openShard(['a']);
		const write = frame(0, { seq: 8 }, { regions: ['a'] });
		await shard.takeFrame(write);
		await abortAllDurableObjects();
		// The writer cannot know whether it was applied, so it sends again; here it was lost with the memory, or is refused by its pair.
		const again = SHARD.get(shard.id);
		await again.takeFrame(write);
		expect(await again.takeFrame(write)).toMatchObject({ taken: false, seq: 8 });
		expect((await snapshotOf(again as Stub, 'a')).features?.version).toBe(2 ** 32 + 8);
	});
});
