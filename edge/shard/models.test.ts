// The models of a release in a Shard: fetched by their digests, checked, used; whatever fails leaves the one before.
import { evictDurableObject, reset } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { pulse } from '#models/forecast/pulse.ts';
import type { RefreshAnswer } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import type { ModelManifest } from '#schemas/model-manifest.ts';
import type { ModelReference, Release } from '#schemas/release.ts';
import { sha256 } from '../sha256.ts';
import { entry, frame, signedRelease, vector } from '../test-support.ts';
import type { ShardEnvironment } from './environment.ts';
import { openModel } from './inference.ts';
import { loadModel } from './loaded-model.ts';

const { SHARD, RELEASES, TEST_MODEL } = env as unknown as ShardEnvironment & { TEST_MODEL: string };
const file = Uint8Array.from(atob(TEST_MODEL), (c) => c.charCodeAt(0));
let output = '';
let number = 0;
const newShard = () => SHARD.getByName(`shard/models-${++number}`);
type Stub = ReturnType<typeof newShard>;

/** Any trees will do: these take two numbers, and their one output stands for all three horizons. */
const manifest = (changes: Partial<ModelManifest> = {}): Omit<ModelManifest, 'digest'> => ({
	name: 'test',
	version: 1,
	feature_set: 'v1',
	inputs: ['is_weekend', 'is_holiday'],
	outputs: { '15': output, '30': output, '60': output },
	domain: { history_days_min: 7, usual_60min: [0.05, 1e6], clip: {} },
	output_range: [0, 1e6],
	intervals: { '15': Array(9).fill(1.3), '30': Array(9).fill(1.3), '60': Array(9).fill(1.3) },
	figures: {},
	golden: [],
	data: { source: 'test', from: '2015-01-01', to: '2015-02-01', rows: 1 },
	code_revision: 'test',
	...changes,
});

/** A model in KV, as the control plane puts it there; `spoil` changes what lies there, not what the reference says. */
async function putModel(changes: Partial<ModelManifest> = {}, spoil?: 'file' | 'manifest' | 'missing'): Promise<ModelReference> {
	const digest = await sha256(file.buffer as ArrayBuffer);
	const text = JSON.stringify({ ...manifest(changes), digest });
	const reference = { name: 'test', version: changes.version ?? 1, digest, manifest: await sha256(text) };
	const bytes = file.slice();
	if (spoil === 'file') bytes[100]! ^= 1;
	if (spoil !== 'missing') await RELEASES.put(`model/${digest}`, bytes);
	await RELEASES.put(`manifest/${reference.manifest}`, spoil === 'manifest' ? `${text} ` : text);
	return reference;
}
const none: Release['models'] = { champion: null, canary: null, shadows: [] };
async function release(shard: Stub, n: number, models: Partial<Release['models']>): Promise<void> {
	const { pointer, bodies } = await signedRelease(n, { models: { ...none, ...models } });
	expect(await shard.takeRelease(pointer, bodies)).toBe(n);
}
const known = vector({ history_days: 28, is_weekend: 1, is_holiday: 1 });
const young = vector({ history_days: 1, is_weekend: 1, is_holiday: 1 });
const push = (shard: Stub, seq: number, values = known) => {
	const made = frame(0, { seq }, { regions: ['a'] });
	return shard.takeFrame({ ...made, regions: made.regions.map((row) => ({ ...row, values })) });
};
const snapshotOf = async (shard: Stub) => (JSON.parse(await shard.refresh({ regions: [['a', null]], bodies: [], keys: null })) as RefreshAnswer).snapshots[0]!;
const championOf = async (shard: Stub) => (await snapshotOf(shard)).forecasts?.champion;

beforeAll(async () => {
	const session = await openModel(file);
	[output = ''] = session.outputs;
	await session.close();
}, 60_000); // Vite hands the .wasm over in 5 to 10 s, longer on a busy machine
afterEach(async () => {
	vi.useRealTimers();
	vi.restoreAllMocks();
	await reset();
});

describe('F34: loadModel()', () => {
	const flip = (bit: number) => (bytes: Uint8Array) => {
		const spoiled = bytes.slice();
		spoiled[bit >> 3]! ^= 1 << (bit & 7);
		return spoiled;
	};
	const bits = file.length * 8;
	const kinds: [name: string, spoil: (bytes: Uint8Array) => Uint8Array | null][] = [
		['missing', () => null],
		['empty', () => new Uint8Array()],
		['one byte', (bytes) => bytes.slice(0, 1)],
		['half', (bytes) => bytes.slice(0, bytes.length / 2)],
		['all but the last byte', (bytes) => bytes.slice(0, -1)],
		['all but the first byte', (bytes) => bytes.slice(1)],
		['a byte more', (bytes) => Uint8Array.from([...bytes, 0])],
		['zeros', (bytes) => new Uint8Array(bytes.length)],
		['twice', (bytes) => Uint8Array.from([...bytes, ...bytes])],
		['two bytes in the other order', (bytes) => Uint8Array.from([bytes[1]!, bytes[0]!, ...bytes.slice(2)])],
		// Every byte would take a minute: bits all over it, and the first and last.
		...Array.from({ length: 64 }, (_, n): [string, (bytes: Uint8Array) => Uint8Array] => {
			const bit = n === 63 ? bits - 1 : Math.floor((n * bits) / 63);
			return [`bit ${bit} flipped`, flip(bit)];
		}),
	];
	/** What is said of a model whose parts lie in KV like this. */
	async function said(parts: { file?: Uint8Array | null; manifest?: Uint8Array | null }, reference: ModelReference): Promise<string> {
		const kv = {
			get: async (key: string, type?: string) => {
				const own = key.startsWith('model/') ? (parts.file === undefined ? file : parts.file) : (parts.manifest ?? null);
				return own === null ? null : type === 'arrayBuffer' ? own.slice().buffer : new TextDecoder().decode(own);
			},
		};
		return loadModel(reference, { RELEASES: kv as unknown as KVNamespace }).then(
			async ({ session }) => {
				await session.close();
				return 'opened';
			},
			(error: unknown) => String(error),
		);
	}
	async function referenceOf(manifestText: string, bytes: Uint8Array = file): Promise<ModelReference> {
		return { name: 'test', version: 1, digest: await sha256(bytes.slice().buffer as ArrayBuffer), manifest: await sha256(manifestText) };
	}
	const text = async (changes: Partial<ModelManifest> = {}) =>
		JSON.stringify({ ...manifest(changes), digest: await sha256(file.slice().buffer as ArrayBuffer) });

	it('opens it whole', async () => {
		const whole = await text();
		expect(await said({ manifest: new TextEncoder().encode(whole) }, await referenceOf(whole))).toBe('opened');
	});

	it.each(kinds)('refuses its file: %s', async (_, spoil) => {
		const whole = await text();
		expect(await said({ file: spoil(file), manifest: new TextEncoder().encode(whole) }, await referenceOf(whole))).toMatch(
			/^Error: Cannot load model test@1: (its file is another one|KV does not have its file)$/,
		);
	});

	it.each(kinds.slice(0, 10))('refuses its manifest: %s', async (_, spoil) => {
		const whole = await text();
		const bytes = spoil(new TextEncoder().encode(whole));
		expect(await said({ manifest: bytes }, await referenceOf(whole))).toMatch(
			/^Error: Cannot load model test@1: (its manifest is another one|KV does not have its manifest)$/,
		);
	});

	it.each([
		['no JSON', async () => '{', /JSON/],
		['another shape', async () => '{}', /its manifest does not fit/],
		['an unordered range', () => text({ output_range: [5, 1] }), /its manifest does not fit: \/output_range/],
	])('refuses a manifest of the right digest that is %s', async (_, make, words) => {
		const made = await make();
		expect(await said({ manifest: new TextEncoder().encode(made) }, await referenceOf(made))).toMatch(words);
	});

	it.each([
		['half a model', file.slice(0, file.length / 2)],
		['nothing', new Uint8Array()],
		['more than a Shard loads', new Uint8Array(limits.model_bytes_max + 1)],
	])('refuses a file of the right digest that is %s', async (_, bytes) => {
		const whole = await text();
		const words = await said({ file: bytes, manifest: new TextEncoder().encode(whole) }, await referenceOf(whole, bytes));
		expect(words).not.toBe('opened');
		if (bytes.length > limits.model_bytes_max) expect(words).toMatch(`at most ${limits.model_bytes_max} are wanted`);
	});

	it('gives up on KV that hangs', async () => {
		vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
		const whole = await text();
		const reference = await referenceOf(whole);
		const hung = loadModel(reference, { RELEASES: { get: () => new Promise(() => undefined) } as unknown as KVNamespace }).catch(String);
		await vi.waitFor(() => expect(vi.getTimerCount()).toBeGreaterThan(0));
		vi.runAllTimers();
		expect(await hung).toMatch(`KV did not give its file within ${limits.kv_model_ms} ms`);
	});
});

describe('models of a release', () => {
	it('forecast from the swap on, what was held before it as well', async () => {
		const shard = newShard();
		await shard.takeEntries([entry('a')]);
		await release(shard, 1, {});
		await push(shard, 1);
		expect((await championOf(shard))?.model).toBe('pulse');
		await release(shard, 2, { champion: await putModel() });
		expect(await championOf(shard)).toMatchObject({ model: 'test@1', out_of_domain: false, horizons: [{ expected: expect.closeTo(31.31, 3) }, {}, {}] });
		await push(shard, 2);
		expect((await championOf(shard))?.model).toBe('test@1');
		expect((await shard.state(0)).models).toMatchObject({ champion: 'test@1', trouble: null });
	});

	it('leave a region outside of their domain to pulse, and say so', async () => {
		const shard = newShard();
		await shard.takeEntries([entry('a')]);
		await release(shard, 1, { champion: await putModel() });
		await push(shard, 1, young);
		expect(await championOf(shard)).toEqual({ ...pulse(young), out_of_domain: true });
	});

	for (const [what, words] of [
		['file', 'file is another one'],
		['manifest', 'manifest is another one'],
		['missing', 'does not have its file'],
	] as const)
		it(`F34 are refused with a spoiled part (${what}): the one before stays in force, and the trouble is told`, async () => {
			const shard = newShard();
			await shard.takeEntries([entry('a')]);
			await push(shard, 1);
			await release(shard, 1, {});
			await release(shard, 2, { champion: await putModel({ version: 2 }, what) });
			await push(shard, 2);
			expect((await championOf(shard))?.model).toBe('pulse');
			expect((await shard.state(0)).models.trouble).toContain(words);
			await release(shard, 3, { champion: await putModel() });
			await release(shard, 4, { champion: { ...(await putModel({ version: 5 })), digest: '0'.repeat(64) } });
			expect((await championOf(shard))?.model).toBe('test@1');
			expect((await shard.state(0)).models).toMatchObject({ champion: 'test@1', trouble: expect.stringContaining('test@5') });
		});

	it('run side by side: champion, canary with its share, and shadows that price nothing', async () => {
		const shard = newShard();
		await shard.takeEntries([entry('a')]);
		const [one, two, three] = [await putModel(), await putModel({ version: 2 }), await putModel({ version: 3 })];
		await release(shard, 1, { champion: one, canary: { ...two, percent: 10 }, shadows: [three] });
		await push(shard, 1);
		const { forecasts } = await snapshotOf(shard);
		expect([forecasts?.champion.model, forecasts?.canary?.model, forecasts?.canary_percent]).toEqual(['test@1', 'test@2', 10]);
		expect((await shard.state(0)).models.shadows).toEqual(['test@3']);
		await release(shard, 2, { champion: two });
		expect(await snapshotOf(shard)).toMatchObject({ forecasts: { champion: { model: 'test@2' }, canary: null } });
	});

	it('F34 open again when KV has them again: tried every 30 s while whole frames come', async () => {
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		const shard = newShard();
		await shard.takeEntries([entry('a')]);
		await release(shard, 1, { champion: await putModel({}, 'missing') });
		await push(shard, 1);
		expect((await shard.state(0)).models).toMatchObject({ champion: null, trouble: expect.stringContaining('does not have its file') });
		await putModel();
		const whole = (seq: number) => shard.takeFrame(frame(0, { seq }, { regions: [{ region_id: 'a', values: known }], whole: true }));
		await whole(2);
		expect((await championOf(shard))?.model).toBe('pulse');
		vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + limits.models_retry_ms + 1 });
		await whole(3);
		await vi.waitFor(async () => expect((await championOf(shard))?.model).toBe('test@1'), { timeout: 10_000 });
		expect((await shard.state(0)).models.trouble).toBeNull();
	});

	it('F35 make no price wait: pulse forecasts at once while KV hangs', async () => {
		const shard = newShard();
		await shard.takeEntries([entry('a')]);
		await release(shard, 1, { champion: await putModel() });
		await evictDurableObject(shard);
		const hung = vi.spyOn(Object.getPrototypeOf(RELEASES) as KVNamespace, 'get').mockImplementation((() => new Promise(() => undefined)) as never);
		await push(shard, 1);
		expect((await championOf(shard))?.model).toBe('pulse');
		expect(hung).toHaveBeenCalled();
	});

	it('run no more shadows than the limit, and say so', async () => {
		vi.spyOn(console, 'error').mockImplementation(() => undefined);
		const shard = newShard();
		const many = await Promise.all(Array.from({ length: limits.shadows_max + 2 }, (_, n) => putModel({ version: n + 1 })));
		await release(shard, 1, { shadows: many });
		const { shadows, trouble } = (await shard.state(0)).models;
		expect([shadows.length, trouble]).toEqual([limits.shadows_max, expect.stringContaining(`at most ${limits.shadows_max} run`)]);
	});

	it('are clamped and counted where they leave their declared range', async () => {
		const shard = newShard();
		await shard.takeEntries([entry('a')]);
		await release(shard, 1, { champion: await putModel({ output_range: [0, 20] }) });
		await push(shard, 1);
		expect((await championOf(shard))?.horizons.map(({ expected }) => expected)).toEqual([20, 20, 20]);
		expect((await shard.state(0)).models.clamped).toBeGreaterThan(0);
	});

	it('come back after an eviction: pulse answers meanwhile', async () => {
		const shard = newShard();
		await shard.takeEntries([entry('a')]);
		await release(shard, 1, { champion: await putModel() });
		await push(shard, 1);
		await evictDurableObject(shard);
		await push(shard, 2);
		expect(['pulse', 'test@1']).toContain((await championOf(shard))?.model);
		await vi.waitFor(async () => expect((await championOf(shard))?.model).toBe('test@1'), { timeout: 10_000 });
	});
});
