import { evictDurableObject, reset } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RefreshAnswer } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import type { Region } from '#schemas/region.ts';
import { entry, frame, newRegion, partitions, ruleSet, signedRelease, vector } from '../test-support.ts';
import { type Behind, coldIsolate, openRegion, real, releaseEverywhere, shardOf } from './door.test-support.ts';

const wallClock = Date.now;
let ahead = 0;
/** Stands still where a test needs it to: a busy machine must not age a copy. */
let frozen: number | undefined;
/** Puts the isolate's clock ahead: copies age. The Shards' goes on as it is. */
const clock = (ms: number) => {
	ahead += ms;
};
beforeEach(() => {
	ahead = 0;
	frozen = undefined;
	vi.spyOn(Date, 'now').mockImplementation(() => (frozen ?? wallClock()) + ahead);
	vi.spyOn(console, 'warn').mockImplementation(() => undefined);
});
afterEach(async () => {
	vi.restoreAllMocks();
	await reset();
});

const down = () => Promise.reject(new Error('the object was reset'));
const hung = () => new Promise<never>(() => undefined);
const push = (id: string, seq: number, changes: { as_of?: number; recent_bookings?: number; epoch?: number } = {}) => {
	const { as_of = Date.now(), recent_bookings = 20, epoch = 1 } = changes;
	return shardOf(id).takeFrame(
		frame(partition(id, partitions), { epoch, seq }, { as_of, whole: true, regions: [{ region_id: id, values: vector({ recent_bookings }) }] }),
	);
};
/** What KV has of regions and rules, as the control plane writes it. */
async function toKv(regions: Region[], release = 1, document = ruleSet()): Promise<void> {
	const { pointer, bodies } = await signedRelease(release, { ruleSets: [document] });
	for (const [digest, body] of Object.entries(bodies)) await real.RELEASES.put(`rule-set/${digest}`, body);
	for (const [n, own] of Map.groupBy(regions, ({ region_id }) => partition(region_id, partitions)))
		await real.RELEASES.put(`catalogue/${n}`, JSON.stringify(own));
	await real.RELEASES.put('release', JSON.stringify(pointer));
}
/** Real time: what a request took. */
async function taken<T>(call: () => Promise<T>): Promise<{ result: T; ms: number }> {
	const started = performance.now();
	const result = await call();
	return { result, ms: performance.now() - started };
}

describe('copies() by age', () => {
	it('serves a fresh copy without asking the Shard', async () => {
		frozen = wallClock();
		const id = await openRegion();
		const isolate = await coldIsolate();
		const first = await isolate.price(id);
		const asked = isolate.questions.length;
		clock(limits.soft_ms * 0.5);
		const second = await isolate.price(id);
		expect(isolate.questions).toHaveLength(asked);
		expect(second.price.versions.features).toBe(first.price.versions.features);
	});

	it('serves a copy past the soft limit and refreshes it behind the answer', async () => {
		frozen = wallClock();
		const id = await openRegion();
		const isolate = await coldIsolate();
		await isolate.price(id);
		await push(id, 2);
		clock(limits.soft_ms * 1.21);
		expect((await isolate.price(id)).price.versions.features).toBe(2 ** 32 + 1);
		expect((await isolate.price(id)).price.versions.features).toBe(2 ** 32 + 2);
	});

	it('asks first past the hard limit', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		await isolate.price(id);
		await push(id, 2);
		clock(limits.hard_ms);
		expect((await isolate.price(id)).price.versions.features).toBe(2 ** 32 + 2);
	});

	it('F24 waits 50 ms for a Shard that hangs, then prices from the copy and shows its age', async () => {
		const id = await openRegion();
		const behind: Behind = {};
		const isolate = await coldIsolate(behind);
		await isolate.price(id);
		behind.shard = hung;
		clock(90_000);
		const { result, ms } = await taken(() => isolate.price(id, { background: true }));
		expect(result.price).toMatchObject({ status: 'priced', versions: { features: 2 ** 32 + 1 } });
		expect(result.price.versions.age_ms).toBeGreaterThanOrEqual(90_000);
		expect(ms).toBeGreaterThanOrEqual(limits.refresh_wait_ms - 2);
		expect(ms).toBeLessThan(limits.first_wait_ms);
	});

	it('F24 goes down the ladder by the age of the copy while the Shard is down, and up again', async () => {
		const id = await openRegion({ profile: Array(168).fill(40) });
		const behind: Behind = {};
		const isolate = await coldIsolate(behind);
		await isolate.price(id);
		behind.shard = down;
		const statuses = [];
		for (const ms of [60_000, 100_000, 600_000]) {
			clock(ms);
			const { price, status } = await isolate.price(id);
			statuses.push(price.status);
			expect(status).toBe(200);
		}
		expect(statuses).toEqual(['priced', 'stale', 'baseline']);
		delete behind.shard;
		await push(id, 2);
		clock(1000);
		expect((await isolate.price(id)).price.status).toBe('priced');
	});

	it('F24 asks the other shards as ever while one is down', async () => {
		const [sick, well] = [await openRegion({ id: newRegion(1) }), await openRegion({ id: newRegion(2) })];
		const behind: Behind = {};
		const isolate = await coldIsolate(behind);
		await Promise.all([isolate.price(sick), isolate.price(well)]);
		behind.shard = (name, ask) => (name === 'shard/1' ? down() : ask());
		clock(150_000);
		await push(well, 2);
		const { text } = await isolate.call('POST', '/api/v1/prices', {
			body: { requests: [sick, well].map((region_id) => ({ region_id, product_type: 'standard_ride' })) },
		});
		const { results } = JSON.parse(text) as { results: { status: string; versions: { features: number } }[] };
		expect(results.map(({ status, versions }) => [status, versions.features])).toEqual([
			['stale', 2 ** 32 + 1],
			['priced', 2 ** 32 + 2],
		]);
	});

	it('asks again at once when the object was only reset', async () => {
		const id = await openRegion();
		const behind: Behind = {};
		const isolate = await coldIsolate(behind);
		let failures = 1;
		behind.shard = (_, ask) => (failures-- > 0 ? down() : ask());
		expect((await isolate.price(id)).price.status).toBe('priced');
		await evictDurableObject(shardOf(id));
		clock(limits.hard_ms);
		expect((await isolate.price(id)).status).toBe(200);
	});

	it('is never fresh under a city clock, which decides', async () => {
		const id = newRegion();
		const now = Date.parse('2015-05-01T12:00:00Z');
		await openRegion({ id, as_of: null });
		const step = (seq: number, at: number) =>
			shardOf(id).takeFrame(frame(partition(id, partitions), { seq }, { now: at, as_of: at, regions: [id], whole: true }));
		await step(1, now);
		const isolate = await coldIsolate();
		for (let seq = 2; seq < 6; seq++) {
			await step(seq, now + seq * 60_000);
			const { price } = await isolate.price(id);
			expect([price.versions.features, Date.parse(price.decided_at), price.versions.age_ms]).toEqual([2 ** 32 + seq, now + seq * 60_000, 0]);
		}
	});
});

describe('copies() under load', () => {
	it('lets one request ask for all, with a Shard that hangs', async () => {
		const id = await openRegion();
		const behind: Behind = {};
		const isolate = await coldIsolate(behind);
		await isolate.price(id);
		behind.shard = hung;
		clock(limits.hard_ms + 1);
		const asked = isolate.questions.length;
		const { result, ms } = await taken(() => Promise.all(Array.from({ length: 200 }, () => isolate.price(id, { background: true }))));
		expect(new Set(result.map(({ status }) => status))).toEqual(new Set([200]));
		expect(isolate.questions.length - asked).toBe(1);
		expect(ms).toBeLessThan(2000);
		clock(limits.refresh_lease_ms); // whoever asked counts as dead
		await isolate.price(id, { background: true });
		expect(isolate.questions.length - asked).toBe(2);
	});

	it('asks a Shard that fails ten times a second, and does not wait for it meanwhile', async () => {
		const id = await openRegion();
		const behind: Behind = {};
		const isolate = await coldIsolate(behind);
		await isolate.price(id);
		behind.shard = down;
		clock(limits.hard_ms + 1);
		const asked = isolate.questions.length;
		const { ms } = await taken(async () => {
			for (let i = 0; i < 20; i++) expect((await isolate.price(id)).status).toBe(200);
		});
		const most = 2 * (Math.floor(ms / 100) + 1); // a question and its repetition
		expect(isolate.questions.length - asked).toBeLessThanOrEqual(most);
		clock(100);
		const before = isolate.questions.length;
		await isolate.price(id);
		expect(isolate.questions.length - before).toBe(2);
	});

	it('lets the others share the answer of the one that asks', async () => {
		const [id, other] = [await openRegion({ id: newRegion(1) }), await openRegion({ id: newRegion(2) })];
		const behind: Behind = {};
		const isolate = await coldIsolate(behind);
		await isolate.price(other); // the keys are here, no copy of the region is
		behind.shard = async (_, ask) => {
			await new Promise((resolve) => setTimeout(resolve, 20));
			return ask();
		};
		const asked = isolate.questions.length;
		const all = Array.from({ length: 20 }, () => isolate.price(id));
		const features = (await Promise.all(all)).map(({ price }) => price.versions.features);
		expect(features).toEqual(Array(20).fill(2 ** 32 + 1));
		expect(isolate.questions.length - asked).toBeLessThanOrEqual(2);
	});

	it('bounds a question, and gets round to every region', async () => {
		const ids = Array.from({ length: 600 }, () => newRegion(5));
		await releaseEverywhere(await signedRelease(1));
		await shardOf(ids[0]!).takeEntries(ids.map((id) => entry(id)));
		const isolate = await coldIsolate();
		const all = async () => {
			for (let at = 0; at < ids.length; at += 100)
				expect(
					(
						await isolate.call('POST', '/api/v1/prices', {
							body: { requests: ids.slice(at, at + 100).map((region_id) => ({ region_id, product_type: 'standard_ride' })) },
						})
					).status,
				).toBe(200);
		};
		await all();
		await shardOf(ids[0]!).takeFrame(frame(5, { seq: 1 }, { regions: ids }));
		for (let i = 0; i < 5; i++) {
			clock(limits.soft_ms * 1.3);
			await isolate.price(ids[0]!);
		}
		expect(Math.max(...isolate.questions.map(({ question }) => question.regions.length))).toBeLessThanOrEqual(256);
		clock(-limits.soft_ms);
		const { text } = await isolate.call('POST', '/api/v1/prices', {
			body: { requests: ids.slice(-100).map((region_id) => ({ region_id, product_type: 'standard_ride' })) },
		});
		expect((JSON.parse(text) as { results: { versions: { features: number } }[] }).results.every(({ versions }) => versions.features === 2 ** 32 + 1)).toBe(
			true,
		);
	});

	it('keeps no more copies than its limit', async () => {
		const ids = Array.from({ length: 30 }, () => newRegion(5));
		await releaseEverywhere(await signedRelease(1));
		await shardOf(ids[0]!).takeEntries(ids.map((id) => entry(id)));
		const isolate = await coldIsolate();
		vi.spyOn((await import('#schemas/limits.ts')).limits, 'copies_max', 'get').mockReturnValue((8 * 10) as never); // of the cold isolate's modules
		for (const id of ids) expect((await isolate.price(id)).status).toBe(200);
		expect((await isolate.call('GET', '/metrics', { token: null })).text).toContain('surgecast_edge_copies 10\n');
	});

	it('asks no more for regions that nobody wanted for a minute', async () => {
		const [idle, busy] = [await openRegion({ id: newRegion(6) }), await openRegion({ id: newRegion(6), seq: 2 })];
		const isolate = await coldIsolate();
		await isolate.price(idle);
		clock(limits.refresh_regions_ms + 1);
		await isolate.price(busy);
		expect(isolate.questions.at(-1)?.question.regions.map(([id]) => id)).toEqual([busy]);
	});
});

describe('copies() without a copy', () => {
	it('never keeps an unknown region: it is priced as soon as it is there', async () => {
		const id = newRegion();
		await releaseEverywhere(await signedRelease(1));
		const isolate = await coldIsolate();
		for (let i = 0; i < 3; i++) expect((await isolate.price(id)).problem.code).toBe('unknown_region');
		await shardOf(id).takeEntries([entry(id)]);
		expect((await isolate.price(id)).price).toMatchObject({ status: 'tariff', price: 12 });
	});

	it('tells each of many which regions are unknown', async () => {
		const known = await openRegion({ id: newRegion(4) });
		const isolate = await coldIsolate();
		const ids = [known, ...Array.from({ length: 30 }, () => newRegion(4))];
		const all = await Promise.all(ids.map((id) => isolate.price(id)));
		expect(all.map(({ status }) => status)).toEqual([200, ...Array(30).fill(404)]);
	});

	for (const [name, behave] of [
		['fails', down],
		['hangs', hung],
	] as const)
		it(`F24 takes the tariff from KV where the Shard ${name}, flagged`, async () => {
			const id = newRegion();
			await toKv([entry(id, { version: 3 })], 7);
			const isolate = await coldIsolate({ shard: behave });
			const { result, ms } = await taken(() => isolate.price(id, { background: true }));
			expect(result.price).toMatchObject({
				status: 'tariff',
				reasons: ['tariff'],
				price: 12,
				surge_multiplier: 1,
				forecast: null,
				versions: { release: 7, features: null, age_ms: null },
			});
			expect(ms).toBeLessThan(3 * limits.first_wait_ms);
			expect((await isolate.call('GET', '/readyz', { token: null, background: true })).text).toContain('"release":7');
			expect((await isolate.price(newRegion(partition(id, partitions)), { background: true })).problem.code).toBe('unavailable'); // only a Shard says unknown
		});

	it('F24 is 503 where KV is down as well, and nothing else', async () => {
		for (const kv of [down, hung]) {
			const isolate = await coldIsolate({ shard: down, kv });
			const { result, ms } = await taken(() => isolate.price(newRegion(), { background: true }));
			expect([result.status, result.problem.code]).toEqual([503, 'unavailable']);
			expect(ms).toBeLessThan(4 * limits.first_wait_ms);
		}
	});

	it('takes only a release that the control plane signed from KV, judges each once, and counts those that it refuses', async () => {
		const errors = vi.spyOn(console, 'error').mockImplementation(() => undefined);
		const id = newRegion();
		await toKv([entry(id)], 7);
		const good = (await real.RELEASES.get('release'))!;
		const forged = (await signedRelease(9, { key: 'stream' })).pointer;
		const otherKind = (await signedRelease(9, { key: 'stream', kid: 'stream' })).pointer;
		const pointer = JSON.parse(good) as typeof forged;
		const bad = [
			JSON.stringify(forged),
			JSON.stringify(otherKind),
			JSON.stringify({ ...pointer, jws: pointer.jws.replace(/\.[^.]{4}/, '.AAAA') }),
			JSON.stringify({ ...pointer, jws: pointer.jws.slice(0, -9) }),
			JSON.stringify({ ...pointer, jws: `${btoa('{"alg":"none"}').replaceAll('=', '')}.${pointer.jws.split('.')[1]}.` }),
			JSON.stringify({ ...pointer, surprise: 1 }),
			'{"jws":7}',
			'null',
			'{',
			'x'.repeat(1_000_000),
		];
		const refusedOf = async (isolate: Awaited<ReturnType<typeof coldIsolate>>) =>
			Number(/^surgecast_edge_kv_releases_refused_total (\d+)$/m.exec((await isolate.call('GET', '/metrics', { token: null })).text)?.[1] ?? 0);
		for (const text of bad) {
			await real.RELEASES.put('release', text);
			const isolate = await coldIsolate({ shard: down });
			for (let i = 0; i < 3; i++) {
				const { status, problem } = await isolate.price(id);
				expect([text.slice(0, 40), status, problem.code]).toEqual([text.slice(0, 40), 503, 'unavailable']);
				clock(limits.kv_failed_ms);
			}
			expect(await refusedOf(isolate)).toBe(1);
			expect((await isolate.call('GET', '/readyz', { token: null })).status).toBe(503);
		}
		expect(errors.mock.calls.filter(([line]) => String(line).includes('the release in KV is refused'))).toHaveLength(bad.length);
		// What was taken before stays when KV has a forged one, or an older one again.
		await real.RELEASES.put('release', good);
		const isolate = await coldIsolate({ shard: down });
		const verify = vi.spyOn(crypto.subtle, 'verify');
		const older = JSON.stringify((await signedRelease(6)).pointer);
		for (const text of [good, good, bad[0]!, older, good]) {
			await real.RELEASES.put('release', text);
			clock(limits.kv_kept_ms);
			expect((await isolate.price(id)).price).toMatchObject({ status: 'tariff', versions: { release: 7 } });
		}
		expect(verify.mock.calls.length).toBe(5); // the client's token, and four texts that differ from the one before
		expect(await refusedOf(isolate)).toBe(1);
	});

	it('takes no rule set and no catalogue from KV that are others than the release says, or none at all', async () => {
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		const id = newRegion();
		await toKv([entry(id)]);
		const [digest] = Object.keys((await signedRelease(1)).bodies);
		const catalogue = `catalogue/${partition(id, partitions)}`;
		const spoiled: [key: string, text: string][] = [
			[`rule-set/${digest}`, JSON.stringify(ruleSet({ products: { standard_ride: { base_price: '99.00' } } }))],
			[`rule-set/${digest}`, '{'],
			[catalogue, '{}'],
			[catalogue, '[null]'],
			[catalogue, '"text"'],
			[catalogue, '['],
		];
		for (const [key, text] of spoiled) {
			const isolate = await coldIsolate({
				shard: down,
				kv: (asked, read) => (asked === key ? Promise.resolve().then(() => (key.startsWith('rule') ? text : JSON.parse(text))) : read()),
			});
			const { status, problem } = await isolate.price(id);
			expect([key, text, status, problem.code]).toEqual([key, text, 503, 'unavailable']);
		}
	});

	it('prices 100 lost regions from one reading of KV', async () => {
		const ids = Array.from({ length: 100 }, () => newRegion());
		await toKv(ids.map((id) => entry(id)));
		let reads = 0;
		const kv = (_: string, read: () => Promise<unknown>) => {
			reads += 1;
			return read();
		};
		const isolate = await coldIsolate({ shard: down, kv });
		for (let i = 0; i < 3; i++) {
			const { text } = await isolate.call('POST', '/api/v1/prices', {
				body: { requests: ids.map((region_id) => ({ region_id, product_type: 'standard_ride' })) },
			});
			expect((JSON.parse(text) as { results: { status: string }[] }).results.every(({ status }) => status === 'tariff')).toBe(true);
		}
		expect(reads).toBeLessThanOrEqual(2 * partitions + 100);
		const after = reads;
		await isolate.price(ids[0]!);
		expect(reads).toBe(after);
	});

	it('goes back to the Shard as soon as it answers: a tariff from KV is not kept', async () => {
		const id = newRegion();
		await toKv([entry(id)]);
		const behind: Behind = { shard: down };
		const isolate = await coldIsolate(behind);
		expect((await isolate.price(id)).price.status).toBe('tariff');
		delete behind.shard;
		await openRegion({ id });
		clock(200);
		expect((await isolate.price(id)).price.status).toBe('priced');
	});

	it('has a freeze also from KV', async () => {
		const id = newRegion();
		await toKv([entry(id, { frozen: true })]);
		expect((await (await coldIsolate({ shard: down })).price(id)).price.status).toBe('frozen');
	});
});

describe('copies() never step back', () => {
	it('F25 to older features: an eviction costs the Shard its memory, not the isolate', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		await push(id, 2, { recent_bookings: 90 });
		const { price } = await isolate.price(id);
		await evictDurableObject(shardOf(id));
		clock(limits.hard_ms);
		const after = (await isolate.price(id)).price;
		expect([after.versions.features, after.surge_multiplier]).toEqual([price.versions.features, price.surge_multiplier]);
		const cold = await coldIsolate();
		expect((await cold.price(id)).price.versions.features).toBe(2 ** 32 + 1); // what was stored, its age shown
		await push(id, 3);
		clock(limits.hard_ms);
		expect((await isolate.price(id)).price.versions.features).toBe(2 ** 32 + 3);
	});

	it('yet hear of a freeze and of a release at once, with the newer features that they hold', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		await push(id, 2, { recent_bookings: 90 });
		await isolate.price(id);
		await evictDurableObject(shardOf(id));
		await releaseEverywhere(await signedRelease(2, { ruleSets: [ruleSet({ products: { standard_ride: { base_price: '20.00' } } })] }));
		clock(limits.hard_ms);
		const repriced = await isolate.price(id);
		expect(repriced.price).toMatchObject({ base_price: 20, versions: { release: 2, features: 2 ** 32 + 2 } });
		expect(repriced.price.surge_multiplier).toBeGreaterThan(1);
		await shardOf(id).takeEntries([entry(id, { frozen: true, version: 2 })]);
		clock(limits.hard_ms);
		const frozen = await isolate.price(id);
		expect(frozen.price).toMatchObject({ status: 'frozen', price: 20, versions: { release: 2, features: 2 ** 32 + 2 } });
		// Its snapshot is one, named by both of its parts, and travels whole with the decision.
		const batch = isolate.batches.at(-1)!;
		const named = batch.decisions.find(({ decision_id }) => decision_id === frozen.price.decision_id)?.inputs.snapshot_id;
		expect(named).toMatch(/^[\w-]+\+[\w-]+$/);
		expect(batch.snapshots.find(({ snapshot_id }) => snapshot_id === named)).toMatchObject({
			region: { frozen: true },
			release: 2,
			features: { version: 2 ** 32 + 2 },
		});
		const names = isolate.batches.flatMap(({ snapshots }) => snapshots.map(({ snapshot_id }) => snapshot_id));
		expect(names.every((name) => name.split('+').length <= 2)).toBe(true);
	});

	it('to an older release or entry that comes late', async () => {
		const id = await openRegion();
		const behind: Behind = {};
		const isolate = await coldIsolate(behind);
		const old = await shardOf(id).refresh({ regions: [[id, null]], bodies: [], keys: null });
		await shardOf(id).takeEntries([entry(id, { frozen: true, version: 2 })]);
		await releaseEverywhere(await signedRelease(2));
		expect((await isolate.price(id)).price).toMatchObject({ status: 'frozen', versions: { release: 2 } });
		behind.shard = async () => old;
		clock(limits.hard_ms);
		expect((await isolate.price(id)).price).toMatchObject({ status: 'frozen', versions: { release: 2 } });
		expect((await isolate.call('GET', '/metrics', { token: null })).text).toMatch(/surgecast_edge_older_snapshots_total [1-9]/);
	});

	it('to forecasts of another model under a new release: those wait for the next frame', async () => {
		const id = await openRegion();
		const behind: Behind = {};
		const isolate = await coldIsolate(behind);
		await push(id, 2);
		await isolate.price(id);
		const answer = JSON.parse(await shardOf(id).refresh({ regions: [[id, null]], bodies: [], keys: null })) as RefreshAnswer;
		const [snapshot] = answer.snapshots;
		const older = { ...snapshot!.features!, version: 2 ** 32 + 1 };
		const forecasts = { champion: { ...snapshot!.forecasts!.champion, model: 'demand@1' }, canary: null };
		const shows = (changes: object) => {
			behind.shard = async () =>
				JSON.stringify({ ...answer, snapshots: [{ ...snapshot!, snapshot_id: crypto.randomUUID(), release: 2, features: older, forecasts, ...changes }] });
			clock(limits.hard_ms);
			return isolate.price(id);
		};
		expect((await shows({})).price).toMatchObject({ forecast: { model: 'pulse' }, versions: { release: 1 } });
		expect((await shows({ features: { ...older, version: 2 ** 32 + 3 } })).price).toMatchObject({ forecast: { model: 'demand@1' }, versions: { release: 2 } });
	});

	it('and keep the older snapshot until the rule set of the newer one compiles here', async () => {
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		const id = await openRegion();
		const isolate = await coldIsolate();
		await isolate.price(id);
		await releaseEverywhere(await signedRelease(2, { ruleSets: [{ ...ruleSet(), surprise: 1 } as ReturnType<typeof ruleSet>] }));
		for (let i = 0; i < 3; i++) {
			clock(limits.hard_ms);
			expect((await isolate.price(id)).price.versions.release).toBe(1);
		}
		expect(isolate.questions.at(-1)?.question.bodies).toHaveLength(2); // the refused one is not sent again
		await releaseEverywhere(await signedRelease(3));
		clock(limits.hard_ms);
		expect((await isolate.price(id)).price.versions.release).toBe(3);
	});
});

it('newerParts() takes the usual of now beside features that only the isolate has', async () => {
	const id = await openRegion({ profile: Array(168).fill(40) });
	const behind: Behind = {};
	const isolate = await coldIsolate(behind);
	await push(id, 2);
	await isolate.price(id);
	// The Shard lost its memory and the stream is dead: its features stay older, and it computes the usual again each minute.
	const answer = JSON.parse(await shardOf(id).refresh({ regions: [[id, null]], bodies: [], keys: null })) as RefreshAnswer;
	const [snapshot] = answer.snapshots;
	const older = { ...snapshot!.features!, version: 2 ** 32 + 1 };
	const [quarter, half, hour] = snapshot!.usual!.horizons;
	const usual = { ...snapshot!.usual!, horizons: [{ ...quarter, expected: 77 }, half, hour] };
	behind.shard = async () => JSON.stringify({ ...answer, snapshots: [{ ...snapshot!, snapshot_id: 'next-1', features: older, usual }] });
	clock(3_600_000);
	expect((await isolate.price(id)).price).toMatchObject({ status: 'baseline', forecast: { expected_bookings: 77 }, versions: { features: 2 ** 32 + 2 } });
});
