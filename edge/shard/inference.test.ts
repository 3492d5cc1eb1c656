// ONNX Runtime inside real objects. The test model is no model of ours: two numbers in, one out.
import { reset, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { afterEach, expect, it } from 'vitest';
import type { ShardEnvironment } from './environment.ts';
import { openModel } from './inference.ts';

const { SHARD, TEST_MODEL } = env as unknown as ShardEnvironment & { TEST_MODEL: string };
const bytes = Uint8Array.from(atob(TEST_MODEL), (c) => c.charCodeAt(0));
const ROWS = [
	[1, 2],
	[0, 0],
	[3, -4],
];
afterEach(() => reset());

/** What the model says inside an object: of all rows at once, and of each alone. */
const forecast = (name: string) =>
	runInDurableObject(SHARD.getByName(name), async () => {
		const model = await openModel(bytes);
		const [output] = model.outputs;
		const batch = [...(await model.run(ROWS))[output!]!];
		const single: number[] = [];
		for (const row of ROWS) single.push(...(await model.run([row]))[output!]!);
		await model.close();
		return { batch, single };
	});

it('openModel() forecasts a batch and each of its rows alike, in two objects at once', async () => {
	const [first, second] = await Promise.all([forecast('shard/0'), forecast('shard/1')]);
	expect(first.batch.slice(0, 2)).toEqual([31.310001373291016, 61.12000274658203]);
	expect(first.single).toEqual(first.batch);
	expect(second).toEqual(first);
}, 60_000); // Vite hands the .wasm over in 5 to 10 s, longer on a busy machine

it('openModel() refuses bytes that are no model, and rows of another width, without harm to the next', async () => {
	const refused = await runInDurableObject(SHARD.getByName('shard/2'), async () => {
		const said = (promise: Promise<unknown>) =>
			promise.then(
				() => 'taken',
				() => 'refused',
			);
		const model = await openModel(bytes);
		return [await said(openModel(bytes.slice(0, 100))), await said(openModel(new Uint8Array())), await said(model.run([[1, 2, 3]]))];
	});
	expect(refused).toEqual(['refused', 'refused', 'refused']);
	expect((await forecast('shard/3')).batch).toHaveLength(ROWS.length);
});
