// Every door fuzzed from its own OpenAPI document (B17). More of it: npm run fuzz -- --seed N --requests N
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fuzz } from './fuzz/fuzz.ts';
import { type Instance, startInstance } from './instance.ts';

const SEED = 20_260_111;
const REQUESTS = 1500;

let product: Instance;
beforeAll(async () => {
	product = await startInstance();
}, 120_000);
afterAll(async () => {
	await product?.stop();
	product?.tidy();
});

/** Of a region that no request touches, by rules that none can replace. */
const watchedPrice = async () => {
	const { json } = await product.call('edge', 'POST', '/api/v1/price', { role: 'client', body: { region_id: 'sg-airport', product_type: 'standard_ride' } });
	return { price: json.price, currency: json.currency, status: json.status };
};

it(`B17: ${REQUESTS} requests made from the doors' documents (seed ${SEED}) get no 5xx and no answer that breaks its schema, and prices stay as they were`, async () => {
	const before = await watchedPrice();
	expect(before).toEqual({ price: 14, currency: 'SGD', status: 'tariff' });
	const { calls, findings } = await fuzz(product, { seed: SEED, requests: REQUESTS, doors: ['edge', 'control', 'ingest'] });
	expect(findings).toEqual([]);
	expect(await watchedPrice()).toEqual(before);
	expect(product.child.exitCode).toBeNull();
	// It came through to every call, and was not let through everywhere. Questions to the history find none here, which is said after all else was judged.
	const none = 'There is no history: CLICKHOUSE_URL is not set.';
	expect(calls.filter(({ answered, unavailable }) => answered === 0 && unavailable[none] === undefined).map(({ method, path }) => `${method} ${path}`)).toEqual(
		[],
	);
	expect(calls.reduce((sum, { refused }) => sum + refused, 0)).toBeGreaterThan(REQUESTS / 4);
}, 180_000);
