// What is promised when something fails, row by row, at the clients' door: the isolate's clock is ours, the Shards behind it are real.
import { evictDurableObject, reset } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Behind as Listed } from '#schemas/behind.ts';
import type { FeatureName } from '#schemas/feature.ts';
import type { RefreshAnswer } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import { type PriceAnswer, priceAnswer } from '#schemas/price.ts';
import type { RuleSetDocumentInput } from '#schemas/rule-set.ts';
import { clientToken, entry, frame, newRegion, partitions, ruleSet, signedRelease, vector } from '../test-support.ts';
import { type Behind, coldIsolate, type Isolate, openRegion, real, releaseEverywhere, shardOf } from './door.test-support.ts';
import type { PriceEnvironment } from './environment.ts';

const MINUTE = 60_000;
const wallClock = Date.now;
let ahead = 0;
/** Puts the isolate's clock ahead: the deployment's, as its prices see it. */
const clock = (ms: number) => {
	ahead += ms;
};
beforeEach(() => {
	ahead = 0;
	vi.spyOn(Date, 'now').mockImplementation(() => wallClock() + ahead);
	vi.spyOn(console, 'warn').mockImplementation(() => undefined);
	vi.spyOn(console, 'error').mockImplementation(() => undefined);
});
afterEach(async () => {
	vi.restoreAllMocks();
	await reset();
});

const down = () => Promise.reject(new Error('the object was reset'));
const hung = () => new Promise<never>(() => undefined);
const nothing = async () => {};
const push = (id: string, seq: number, values: Partial<Record<FeatureName, number | null>> = {}) =>
	shardOf(id).takeFrame(
		frame(
			partition(id, partitions),
			{ seq },
			{ as_of: Date.now(), whole: true, regions: [{ region_id: id, values: vector({ recent_bookings: 90, ...values }) }] },
		),
	);
/** A region under three times its usual demand: its price has a surge to lose. */
async function surging(shard: number, changes: Parameters<typeof openRegion>[0] = {}): Promise<string> {
	const id = await openRegion({ id: newRegion(shard), profile: Array(168).fill(40), ...changes });
	await push(id, 2);
	return id;
}
const long = clientToken({ ttl: 4 * 3600 });
const priceOf = async (isolate: Isolate, id: string): Promise<PriceAnswer> => {
	const { status, price, text } = await isolate.price(id, { token: await long });
	expect([status, status === 200 ? '' : text]).toEqual([200, '']);
	return priceAnswer.parse(price);
};
const batchOf = async (isolate: Isolate, ids: readonly string[]): Promise<PriceAnswer[]> => {
	const requests = ids.map((region_id) => ({ region_id, product_type: 'standard_ride' }));
	const { text } = await isolate.call('POST', '/api/v1/prices', { token: await long, body: { requests } });
	return (JSON.parse(text) as { results: unknown[] }).results.map((result) => priceAnswer.parse(result));
};

/** What an isolate says of itself: always 200 here. */
async function readyz(isolate: Isolate) {
	const { status, text } = await isolate.call('GET', '/readyz', { token: null });
	expect(status).toBe(200);
	return JSON.parse(text) as { behind: Listed[]; models: { shard: number }[] };
}

describe('F8: one partition is silent', () => {
	it('its regions grow stale, then take the baseline, and never dearer; the other shards notice nothing', async () => {
		const [silent, live] = [await surging(1), await surging(2)];
		const isolate = await coldIsolate();
		const fresh = await priceOf(isolate, silent);
		expect(fresh.surge_multiplier).toBeGreaterThan(1.2);
		const rungs: string[] = [];
		let before = fresh.surge_multiplier;
		for (let minute = 1; minute <= 12; minute++) {
			clock(MINUTE);
			await push(live, 2 + minute);
			const [one, other] = await batchOf(isolate, [silent, live]);
			expect(other).toMatchObject({ status: 'priced', surge_multiplier: fresh.surge_multiplier, versions: { features: 2 ** 32 + 2 + minute } });
			expect(other!.versions.age_ms).toBeLessThan(MINUTE);
			rungs.push(one!.status);
			expect(one!.surge_multiplier).toBeLessThanOrEqual(before);
			expect(one!.versions.age_ms).toBeGreaterThanOrEqual(minute * MINUTE - 1000);
			before = one!.surge_multiplier;
		}
		expect(rungs).toEqual(['priced', ...Array(8).fill('stale'), ...Array(3).fill('baseline')]);
		expect(before).toBeLessThanOrEqual(1);
		const told = await readyz(isolate);
		expect(told.behind.map(({ what }) => what)).toEqual(['features of shard 1']);
		expect(told.behind[0]!.seconds).toBeGreaterThanOrEqual(12 * 60);
		await push(silent, 3);
		clock(limits.hard_ms);
		expect((await priceOf(isolate, silent)).surge_multiplier).toBe(fresh.surge_multiplier);
	});
});

describe('F23: control plane and stream are dead for 30 minutes', () => {
	it('prices go on down the ladder, flagged, in every isolate', async () => {
		const [busy, bare] = [await surging(1), await openRegion({ id: newRegion(2), as_of: null })];
		const behind: Behind = { kv: down };
		const isolate = await coldIsolate(behind);
		const fresh = await priceOf(isolate, busy);
		const rungs: string[] = [];
		for (let minute = 1; minute <= 30; minute++) {
			clock(MINUTE);
			const asked = minute % 10 === 0 ? await coldIsolate(behind) : isolate; // one that is born meanwhile knows as much
			const [price, tariff] = await batchOf(asked, [busy, bare]);
			expect(tariff).toMatchObject({ status: 'tariff', reasons: ['tariff'], surge_multiplier: 1 });
			rungs.push(price!.status);
			expect(price!.reasons.includes(price!.status)).toBe(price!.status !== 'priced');
			expect(price!.surge_multiplier).toBeLessThanOrEqual(fresh.surge_multiplier);
			const forecast = await asked.call('GET', `/api/v1/forecast?region_id=${busy}`, { token: await long });
			expect(forecast.status).toBe(200);
		}
		expect(rungs).toEqual(['priced', ...Array(8).fill('stale'), ...Array(21).fill('baseline')]);
		expect((await readyz(isolate)).behind.find(({ what }) => what === 'features of shard 1')?.seconds).toBeGreaterThanOrEqual(30 * 60);
	}, 60_000);
});

describe('F24: KV and a Shard fail', () => {
	const thrown = { SHARD: { getByName: () => throws() } } as unknown as Partial<PriceEnvironment>;
	function throws(): never {
		throw new Error('there is no stub');
	}
	const shards: [how: string, behind: Behind][] = [
		['fails', { shard: down }],
		['hangs', { shard: hung }],
		['throws at once', { env: thrown }],
		['answers nothing', { shard: async () => '' }],
		['answers null', { shard: async () => 'null' }],
		['answers another shape', { shard: async () => '{"snapshots":7}' }],
		['answers half', { shard: async (_, ask) => (await ask()).slice(0, 100) }],
	];
	for (const [how, broken] of shards)
		for (const [what, kv] of [
			['fails', down],
			['hangs', hung],
			['has nothing', async () => null],
		] as const)
			it(`a region that the isolate knows is priced where the Shard ${how} and KV ${what}; one that it does not is 503`, async () => {
				const [id, stranger] = [await openRegion({ id: newRegion(3) }), await openRegion({ id: newRegion(3), seq: 2 })];
				const isolate = await coldIsolate();
				expect((await isolate.price(id)).price.status).toBe('priced');
				isolate.break({ ...broken, kv });
				for (const [ms, status] of [
					[90_000, 'priced'],
					[100_000, 'stale'],
					[600_000, 'baseline'],
				] as const) {
					clock(ms);
					const { price, status: http } = await isolate.price(id, { background: true, token: await long });
					expect([http, price.status]).toEqual([200, status]);
					expect(price.versions.age_ms).toBeGreaterThanOrEqual(ms);
				}
				const lost = await isolate.price(stranger, { background: true, token: await long });
				expect([lost.status, lost.problem.code]).toEqual([503, 'unavailable']);
			});

	it('takes the tariff from what KV gave before, for as long as nobody answers', async () => {
		const id = newRegion();
		const { pointer, bodies } = await signedRelease(4);
		for (const [digest, body] of Object.entries(bodies)) await real.RELEASES.put(`rule-set/${digest}`, body);
		await real.RELEASES.put(`catalogue/${partition(id, partitions)}`, JSON.stringify([entry(id)]));
		await real.RELEASES.put('release', JSON.stringify(pointer));
		const behind: Behind = { shard: down };
		const isolate = await coldIsolate(behind);
		expect(await priceOf(isolate, id)).toMatchObject({ status: 'tariff', versions: { release: 4 } });
		for (const kv of [down, hung, async () => null]) {
			behind.kv = kv;
			clock(20 * MINUTE);
			expect((await isolate.price(id, { background: true, token: await long })).price).toMatchObject({ status: 'tariff', versions: { release: 4 } });
		}
	});
});

describe('F25: every object is evicted between any two requests', () => {
	const evictAll = () =>
		Promise.all(
			Array.from({ length: partitions }, async (_, n) => {
				const shard = real.SHARD.getByName(`shard/${n}`);
				await shard.state(n); // only one that runs can be evicted
				await evictDurableObject(shard);
				await shard.state(n); // and only one that runs is reset after the test
			}),
		);

	/** What a client was told, in order, while features, a release and a freeze arrive. */
	async function told(between: () => Promise<unknown>): Promise<unknown[]> {
		const id = await surging(4);
		const isolate = await coldIsolate();
		const dearer = await signedRelease(2, { ruleSets: [ruleSet({ products: { standard_ride: { base_price: '20.00' } } })] });
		const steps: (() => Promise<unknown>)[] = [
			nothing,
			() => push(id, 3, { recent_bookings: 40 }),
			() => releaseEverywhere(dearer),
			nothing,
			() => push(id, 4, { recent_bookings: 70 }),
			() => shardOf(id).takeEntries([entry(id, { frozen: true, version: 2 })]),
			nothing,
			() => shardOf(id).takeEntries([entry(id, { version: 3, profile: Array(168).fill(40) })]),
			nothing,
		];
		const answers: unknown[] = [];
		for (const step of steps) {
			await step();
			clock(limits.hard_ms);
			const { status, price, surge_multiplier, amount_minor, factors, versions } = await priceOf(isolate, id);
			answers.push({ status, price, surge_multiplier, amount_minor, factors, features: versions.features, release: versions.release });
			await between();
		}
		return answers;
	}

	it('an isolate that lives on gives the same answers', async () => {
		const wanted = await told(nothing);
		expect(wanted).toMatchObject([{ release: 1 }, {}, { release: 2 }, {}, {}, { status: 'frozen' }, { status: 'frozen' }, { status: 'priced' }, {}]);
		await reset();
		expect(await told(evictAll)).toEqual(wanted);
	});

	it('a cold isolate gets older features, their age shown, and the entry, freeze and release in force; the next frame brings the rest', async () => {
		const id = await surging(5); // seq 1 was a new epoch's: stored at once
		const first = (await shardOf(id).features(id))!;
		expect(first.version).toBe(2 ** 32 + 2);
		await releaseEverywhere(await signedRelease(2));
		await shardOf(id).takeEntries([entry(id, { version: 2, name: 'renamed' })]);
		await evictAll();
		const price = await priceOf(await coldIsolate(), id);
		expect(price.versions).toMatchObject({ release: 2, features: 2 ** 32 + 1 });
		expect(price.versions.age_ms).toBe(Date.parse(price.decided_at) - Date.parse(price.versions.features_as_of!));
		await push(id, 3);
		expect((await priceOf(await coldIsolate(), id)).versions.features).toBe(2 ** 32 + 3);
		await shardOf(id).takeEntries([entry(id, { version: 3, frozen: true })]);
		await evictAll();
		expect((await priceOf(await coldIsolate(), id)).status).toBe('frozen');
	});
});

describe('F29: a release push dies after k of n shards', () => {
	it.each([1, 4, 7])('where it has not landed the old release stays whole; the next push converges: %s of 8', async (k) => {
		const ids = Array.from({ length: partitions }, (_, n) => newRegion(n));
		for (const id of ids) await openRegion({ id });
		const isolate = await coldIsolate();
		await batchOf(isolate, ids);
		const dearer = ruleSet({ products: { standard_ride: { base_price: '20.00' } } });
		const { pointer, bodies } = await signedRelease(2, { ruleSets: [dearer] });
		const landed = Array.from({ length: k }, (_, n) => real.SHARD.getByName(`shard/${n}`).takeRelease(pointer, bodies));
		await Promise.all(landed);
		const seen = async () => {
			clock(limits.hard_ms);
			return (await batchOf(isolate, ids)).map(
				({ base_price, versions: { release, rule_set } }) => `release ${release}, rule set ${rule_set}, base ${base_price}`,
			);
		};
		const [old, next] = ['release 1, rule set 1, base 12', 'release 2, rule set 2, base 20'];
		for (let i = 0; i < 3; i++) expect(await seen()).toEqual(ids.map((_, n) => (n < k ? next : old)));
		await releaseEverywhere({ pointer, bodies });
		expect(await seen()).toEqual(Array(partitions).fill(next));
	});
});

describe('F34: a model of the release cannot be opened', () => {
	it('prices go on by pulse, and readyz and metrics say so', async () => {
		const id = newRegion(6);
		const missing = { name: 'demand', version: 9, digest: 'd'.repeat(64), manifest: 'e'.repeat(64) };
		await releaseEverywhere(await signedRelease(1, { models: { champion: missing, canary: null, shadows: [] } }));
		await shardOf(id).takeEntries([entry(id)]);
		await push(id, 1);
		const isolate = await coldIsolate();
		expect(await priceOf(isolate, id)).toMatchObject({ status: 'priced', forecast: { model: 'pulse' } });
		const told = await readyz(isolate);
		expect(told.behind.find(({ what }) => what === 'models of shard 6')?.cause).toBe('Cannot load model demand@9: KV does not have its file');
		expect(told.models.find(({ shard }) => shard === 6)).toEqual({
			shard: 6,
			champion: null,
			canary: null,
			trouble: 'Cannot load model demand@9: KV does not have its file',
		});
		expect((await isolate.call('GET', '/metrics', { token: null })).text).toMatch(/^surgecast_edge_shards_with_model_trouble [1-9]/m);
	});
});

describe('F35: a cold isolate, while its Shard loads ONNX Runtime', () => {
	it('answers within the deadline: the tariff from KV, flagged, while the Shard answers nobody', async () => {
		const id = newRegion(7);
		const { pointer, bodies } = await signedRelease(1);
		for (const [digest, body] of Object.entries(bodies)) await real.RELEASES.put(`rule-set/${digest}`, body);
		await real.RELEASES.put('catalogue/7', JSON.stringify([entry(id)]));
		await real.RELEASES.put('release', JSON.stringify(pointer));
		await openRegion({ id });
		const loaded = Promise.withResolvers<void>();
		const loading = async (_: string, ask: () => Promise<string>) => {
			await loaded.promise;
			return ask();
		};
		const behind: Behind = { shard: loading };
		const isolate = await coldIsolate(behind);
		const { status, price } = await isolate.price(id, { background: true });
		expect([status, price.status, price.reasons]).toEqual([200, 'tariff', ['tariff']]);
		loaded.resolve();
		delete behind.shard;
		clock(limits.refresh_lease_ms);
		expect((await isolate.price(id)).price).toMatchObject({ status: 'priced', forecast: { model: 'pulse' } });
	});
});

describe('R1: a forecast or a rule yields 0, a negative, NaN, an infinity, 1e308', () => {
	const sane = (price: PriceAnswer) => {
		for (const number of [price.price, price.amount_minor, price.surge_multiplier]) expect(Number.isFinite(number) && number > 0).toBe(true);
		expect(price.amount_minor % 5).toBe(0); // on the grid of 0.05
		expect(price.surge_multiplier).toBeGreaterThanOrEqual(1);
		expect(price.surge_multiplier).toBeLessThanOrEqual(3);
		expect(price.lines.reduce((sum, line) => sum + line.amount_minor, 0)).toBe(price.amount_minor);
	};
	const numbers = ['0', '-0', '-5', '1e308', '-1e308', '1e400', '-1e400', 'null', '5e-324'];

	it.each(numbers)('in the forecasts of a snapshot: %s', async (number) => {
		const id = await surging(1);
		const behind: Behind = {};
		const isolate = await coldIsolate(behind);
		const answer = JSON.parse(await shardOf(id).refresh({ regions: [[id, null]], bodies: [], keys: null })) as RefreshAnswer;
		const [snapshot] = answer.snapshots;
		for (const fields of [['expected'], ['low'], ['high'], ['expected', 'low', 'high']]) {
			const spoiled = structuredClone(snapshot!) as unknown as { snapshot_id: string; forecasts: { champion: { horizons: Record<string, unknown>[] } } };
			spoiled.snapshot_id = fields.join();
			for (const horizon of spoiled.forecasts.champion.horizons) for (const field of fields) horizon[field] = '<number>';
			behind.shard = async () => JSON.stringify({ ...answer, snapshots: [spoiled] }).replaceAll('"<number>"', number);
			clock(limits.hard_ms);
			const price = await priceOf(isolate, id);
			sane(price);
			const clamped = ['-5', '1e308', '-1e308', '1e400', '-1e400'].includes(number) && fields.includes('expected');
			if (clamped) expect(price.reasons).toContain('not_finite');
		}
	});

	it.each([0, -0, -5, 1e308, -1e308, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, null])(
		'in the features of a frame: %s',
		async (number) => {
			const id = await openRegion({ id: newRegion(2), profile: Array(168).fill(40) });
			const isolate = await coldIsolate();
			const names = ['recent_bookings', 'recent_usual', 'usual_15min', 'usual_60min', 'available_drivers', 'driver_utilization', 'history_days'] as const;
			let seq = 1;
			for (const values of [...names.map((name) => ({ [name]: number })), Object.fromEntries(names.map((name) => [name, number]))]) {
				await push(id, ++seq, values);
				clock(limits.hard_ms);
				const price = await priceOf(isolate, id);
				expect(price.versions.features).toBe(2 ** 32 + seq);
				sane(price);
				expect((await isolate.call('GET', `/api/v1/forecast?region_id=${id}`)).status).toBe(200);
			}
		},
	);

	const rule = (id: string, then: object) => ({ id, when: 'true', then, priority: 1 });
	it.each<[name: string, changes: Partial<RuleSetDocumentInput>, price: number]>([
		['a base of nothing', { products: { standard_ride: { base_price: '0' } } }, 0.05],
		['a price far below nothing', { products: { standard_ride: { base_price: '1.00' } }, adjustments: [rule('less', { add_price: '-999999999.00' })] }, 0.05],
		['a price times almost nothing', { adjustments: [rule('tiny', { multiply_price: 0.0001 })] }, 6],
		[
			'everything at its greatest',
			{
				products: { standard_ride: { base_price: '999999999.00', per_km: '999999999.00' } },
				adjustments: Array.from({ length: 200 }, (_, n) => rule(`m${n}`, { multiply_price: 1000 })),
			},
			limits.amount_minor_max / 100,
		],
	])('in a rule set: %s', async (_, changes, wanted) => {
		const id = await openRegion({ id: newRegion(3) });
		await releaseEverywhere(await signedRelease(2, { ruleSets: [ruleSet(changes)] }));
		const isolate = await coldIsolate();
		const { status, price } = await isolate.price(id, { body: { attributes: { distance_km: 100_000 } } });
		expect(status).toBe(200);
		expect(Number.isFinite(price.price) && price.price > 0).toBe(true);
		expect(price.price).toBeLessThanOrEqual(wanted);
		expect(price.price).toBeGreaterThan(wanted - 0.05);
	});
});

describe('R6: features expire under a rule that caps by weather', () => {
	it('the cap holds: in rain, in stale rain, when nobody knows the weather any more, and without any features', async () => {
		const rain = { id: 'rain', when: 'features.precipitation_mm_h > 5', then: { cap_multiplier: 0.8 }, priority: 1 };
		const document = ruleSet({ surge: { ...ruleSet().surge, min_multiplier: 0.5 }, adjustments: [rain] });
		const id = await openRegion({ id: newRegion(4), profile: Array(168).fill(40), as_of: null });
		await releaseEverywhere(await signedRelease(2, { ruleSets: [document] }));
		const isolate = await coldIsolate();
		const capped = async (status: string) => {
			clock(limits.hard_ms);
			const price = await priceOf(isolate, id);
			expect([price.status, price.surge_multiplier]).toEqual([status, 0.8]);
			expect(price.reasons).toContain('cap:rain');
		};
		await capped('baseline'); // no features yet
		await push(id, 1, { precipitation_mm_h: 0 });
		clock(limits.hard_ms);
		expect((await priceOf(isolate, id)).surge_multiplier).toBeGreaterThan(1.2); // a dry day has its surge
		await push(id, 2, { precipitation_mm_h: 10 });
		await capped('priced');
		clock(3 * MINUTE);
		await capped('stale');
		clock(10 * MINUTE);
		await capped('baseline');
		await push(id, 3, { precipitation_mm_h: null });
		await capped('priced');
	});
});
