// A data scientist's way through the running product: register, promote to canary, champion, roll back.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { PriceAnswer } from '#schemas/price.ts';
import { type Instance, startInstance } from './instance.ts';
import { sampleChampion } from './sample/champion.ts';
import { until } from './until.ts';

const sample = sampleChampion();
const USERS = 2000;
let product: Instance;
beforeAll(async () => {
	product = await startInstance();
	await product.call('ingest', 'POST', '/api/v1/events', { role: 'producer', body: { event_type: 'booking', region_id: 'nyc-132' } });
}, 120_000);
afterAll(async () => {
	await product?.stop();
	product?.tidy();
});

async function register(version: number, bytes: Uint8Array): Promise<{ status: number; text: string }> {
	const form = new FormData();
	const manifest = { ...JSON.parse(sample?.manifest ?? ''), version };
	form.set('manifest', new Blob([JSON.stringify(manifest)], { type: 'application/json' }), 'manifest.json');
	form.set('model', new Blob([new Uint8Array(bytes)]), 'model.onnx');
	const answer = await fetch(`${product.urls.control}/api/v1/models`, {
		method: 'POST',
		body: form,
		headers: { authorization: `Bearer ${await product.token('author')}` },
	});
	return { status: answer.status, text: await answer.text() };
}
const promote = (version: number, body: object) => product.call('control', 'POST', `/api/v1/models/demand/${version}/promote`, { role: 'operator', body });

/** Which model priced each of many users. */
async function modelsByUser(): Promise<(string | null)[]> {
	const models: (string | null)[] = [];
	for (let at = 0; at < USERS; at += 100) {
		const requests = Array.from({ length: 100 }, (_, i) => ({ region_id: 'nyc-132', product_type: 'standard_ride', user_id: `user-${at + i}` }));
		const { json } = await product.call('edge', 'POST', '/api/v1/prices', { role: 'client', body: { requests } });
		models.push(...json.results.map(({ versions }: PriceAnswer) => versions.model));
	}
	return models;
}
const modelOf = async (user_id?: string): Promise<string | null> =>
	(await product.call('edge', 'POST', '/api/v1/price', { role: 'client', body: { region_id: 'nyc-132', product_type: 'standard_ride', user_id } })).json
		.versions.model;

it('prices New York by the champion of the sample', async () => {
	await until('a price by the champion', async () => (await modelOf()) === 'demand@1', { within: 60_000, every: 100 });
});

it('refuses a model of which one byte was changed, whatever its manifest says', async () => {
	const bytes = new Uint8Array(sample?.bytes ?? []);
	bytes[bytes.length >> 1]! ^= 1;
	const answer = await register(2, bytes);
	expect(answer.status).toBe(422);
	expect(answer.text).toContain('/manifest/digest');
	expect(answer.text).toContain(createHash('sha256').update(bytes).digest('hex'));
});

it('gives a canary its share of the users, the same ones after a restart; the decision says which arm priced it', async () => {
	const registered = await register(2, sample?.bytes ?? new Uint8Array());
	expect(registered.status, registered.text).toBe(201);
	expect((await promote(2, { to: 'canary', percent: 10 })).status).toBe(201);
	await until('a canary at the edge', async () => (await modelsByUser()).includes('demand@2'), { within: 40_000 });
	const before = await modelsByUser();
	const share = before.filter((model) => model === 'demand@2').length / USERS;
	expect(share).toBeGreaterThan(0.08);
	expect(share).toBeLessThan(0.12);
	const { directory } = product;
	await product.stop();
	product = await startInstance({ directory });
	await until('both models after the restart', async () => new Set(await modelsByUser()).size === 2, { within: 60_000, every: 200 });
	expect(await modelsByUser()).toEqual(before);
	const user = `user-${before.indexOf('demand@2')}`;
	const { json } = await product.call('edge', 'POST', '/api/v1/price', {
		role: 'client',
		body: { region_id: 'nyc-132', product_type: 'standard_ride', user_id: user },
	});
	const explained = await until('its explanation', async () => {
		const answer = await product.call('control', 'GET', `/api/v1/decisions/${json.decision_id}/explain`, { role: 'analyst' });
		return answer.status === 200 && answer.json;
	});
	expect(explained).toMatchObject({ reproduces: true, inputs: { arm: 'canary' }, decision: { versions: { model: 'demand@2' } } });
}, 180_000);

it('promotes the canary to champion, and a rollback brings the old one back', async () => {
	const { release } = (await product.call('control', 'GET', '/api/v1/releases/current', { role: 'viewer' })).json;
	expect((await promote(2, { to: 'champion' })).status).toBe(201);
	await until('the new champion', async () => (await modelOf()) === 'demand@2', { within: 40_000 });
	expect((await product.call('control', 'POST', `/api/v1/releases/${release}/rollback`, { role: 'operator' })).status).toBe(201);
	await until('the old champion', async () => (await modelOf()) === 'demand@1', { within: 40_000 });
});
