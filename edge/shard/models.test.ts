// The models of a release in a Shard: fetched by their digests, checked, used; whatever fails leaves the one before.
import { evictDurableObject, reset } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { pulse } from '#models/forecast/pulse.ts';
import type { RefreshAnswer } from '#schemas/internal.ts';
import type { ModelManifest } from '#schemas/model-manifest.ts';
import type { ModelReference, Release } from '#schemas/release.ts';
import { entry, frame, signedRelease, vector } from '../test-support.ts';
import type { ShardEnvironment } from './environment.ts';
import { openModel } from './inference.ts';
import { sha256 } from './sha256.ts';

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
	await reset();
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
		it(`are refused with a spoiled part (${what}): the one before stays in force, and the trouble is told`, async () => {
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
