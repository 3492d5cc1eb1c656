// Bad input and abuse at the clients' door, row by row. B9, tokens, is in door.test.ts.
import { reset } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { limits } from '#schemas/limits.ts';
import { problemDocument } from '#schemas/problem.ts';
import { type Called, coldIsolate, type Isolate, openRegion } from './door.test-support.ts';

let id = '';
let isolate: Isolate;
beforeEach(async () => {
	id = await openRegion();
	isolate = await coldIsolate();
	await isolate.price(id);
});
afterEach(async () => {
	vi.restoreAllMocks();
	await reset();
});

const send = (raw: BodyInit, headers: Record<string, string> = {}, path = '/api/v1/price') => isolate.call('POST', path, { raw, headers });
function expectRefused({ response, problem }: Called, status: number, code: string, paths?: string[]): void {
	expect([response.status, problem.code]).toEqual([status, code]);
	expect(response.headers.get('content-type')).toBe('application/problem+json');
	expect(problemDocument.parse(problem).status).toBe(status);
	if (paths) expect(problem.errors?.map(({ path }) => path)).toEqual(paths);
}
const good = () => ({ region_id: id, product_type: 'standard_ride' });
const gzipped = (bytes: Uint8Array) => new Response(new Response(bytes).body!.pipeThrough(new CompressionStream('gzip'))).arrayBuffer();

describe('B1: a large, a compressed or a deep body', () => {
	it('of 1 MB: 413, and nobody parses it', async () => {
		const large = JSON.stringify({ ...good(), attributes: { note: 'x'.repeat(1 << 20) } });
		const parsed = vi.spyOn(JSON, 'parse');
		for (const path of ['/api/v1/price', '/api/v1/prices']) {
			const request = new Request('http://edge.test', { method: 'POST', body: large }); // its length declared, as a client does
			const called = await send(request.body!, { 'content-length': String(large.length) }, path);
			expectRefused(called, 413, 'too_large');
			expectRefused(await send(large, {}, path), 413, 'too_large');
			expectRefused(await send(new Response(large).body!, {}, path), 413, 'too_large'); // chunked: no length to go by
		}
		expect(parsed.mock.calls.filter(([text]) => String(text).length > limits.edge_body_bytes_max)).toEqual([]);
	});

	it('within the limit by a byte is read, a byte over it is not', async () => {
		const padded = (bytes: number) => JSON.stringify(good()).padEnd(bytes);
		expect((await send(padded(limits.edge_body_bytes_max))).status).toBe(200);
		expectRefused(await send(padded(limits.edge_body_bytes_max + 1)), 413, 'too_large');
	});

	it('compressed, a bomb or not, declared: 415; undeclared it is no JSON: 400', async () => {
		const bomb = await gzipped(new Uint8Array(50_000_000).fill(0x20));
		expect(bomb.byteLength).toBeLessThan(limits.edge_body_bytes_max);
		for (const encoding of ['gzip', 'GZIP', 'deflate', 'br', 'zstd', 'gzip, gzip', 'x-gzip'])
			expectRefused(await send(bomb, { 'content-encoding': encoding }), 415, 'unsupported_media_type');
		expectRefused(await send(bomb), 400, 'malformed_json');
		expect((await send(JSON.stringify(good()), { 'content-encoding': 'identity' })).status).toBe(200);
	});

	const nested = (depth: number): [name: string, text: string][] => [
		['arrays', `${'['.repeat(depth)}${']'.repeat(depth)}`],
		['objects', `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`],
		['an attribute', `{"region_id":"a","product_type":"b","attributes":{"deep":${'['.repeat(depth)}${']'.repeat(depth)}}}`],
		['a batch of one', `{"requests":[${'['.repeat(depth)}${']'.repeat(depth)}]}`],
	];
	it.each([...nested(30_000), ...nested(40_000)])('nested thousands of levels deep: 422: %s', async (name, text) => {
		for (const path of ['/api/v1/price', '/api/v1/prices']) {
			const called = await send(text, {}, path);
			if (name === 'a batch of one' && path === '/api/v1/prices') {
				// An item of a batch is refused for itself.
				expect(called.status).toBe(200);
				expect((JSON.parse(called.text) as { results: { code: string }[] }).results.map(({ code }) => code)).toEqual(['invalid']);
			} else expectRefused(called, 422, 'invalid');
		}
	});

	it('never ended: 400', async () => {
		expectRefused(await send('['.repeat(limits.edge_body_bytes_max)), 400, 'malformed_json');
	});
});

describe('B2: __proto__ and constructor.prototype', () => {
	const region = () => `"region_id":"${id}","product_type":"standard_ride"`;
	it.each([
		['at the top', () => `{${region()},"__proto__":{"polluted":1}}`, '/__proto__'],
		['alone', () => '{"__proto__":{"region_id":"a","product_type":"b"}}', '/__proto__'],
		['in the attributes', () => `{${region()},"attributes":{"__proto__":{"polluted":1}}}`, '/attributes/__proto__'],
		['as a plain attribute', () => `{${region()},"attributes":{"__proto__":1}}`, '/attributes/__proto__'],
		['a constructor at the top', () => `{${region()},"constructor":{"prototype":{"polluted":1}}}`, '/constructor'],
		[
			'a constructor with a prototype among the attributes',
			() => `{${region()},"attributes":{"constructor":{"prototype":{"polluted":1}}}}`,
			'/attributes/constructor',
		],
	])('%s: 422 at its place, in a batch too', async (_, raw, path) => {
		const one = await send(raw());
		expectRefused(one, 422, 'invalid');
		expect(one.problem.errors?.map((error) => error.path)).toContain(path);
		const { results } = JSON.parse((await send(`{"requests":[${raw()},${JSON.stringify(good())}]}`, {}, '/api/v1/prices')).text) as {
			results: { code?: string; errors?: { path: string }[]; price?: number }[];
		};
		expect([results[0]?.code, results[1]?.price]).toEqual(['invalid', 12]);
		expect(results[0]?.errors?.map((error) => error.path)).toContain(path);
		expect(({} as { polluted?: number }).polluted).toBeUndefined();
	});

	it('around a batch: 422', async () => {
		expectRefused(await send(`{"requests":[{${region()}}],"__proto__":{}}`, {}, '/api/v1/prices'), 422, 'invalid', ['/__proto__']);
	});

	it('names of everything that an object has are plain attributes, and inert', async () => {
		const attributes = { constructor: 'a', prototype: 1, toString: true, valueOf: 'x', hasOwnProperty: 2, __defineGetter__: 'y', toJSON: 'z', then: 1 };
		const { status, price } = await isolate.price(id, { body: { attributes } });
		expect([status, price.price]).toEqual([200, 12]);
		for (const region_id of ['constructor', 'tostring', 'hasownproperty']) expect((await isolate.price(region_id)).problem.code).toBe('unknown_region');
		for (const product_type of ['constructor', 'valueof']) expect((await isolate.price(id, { body: { product_type } })).problem.code).toBe('unknown_product');
	});
});

describe('B3: another content type, or no JSON', () => {
	it.each([
		'text/plain',
		'application/x-www-form-urlencoded',
		'multipart/form-data',
		'application/jsonp',
		'application/json5',
		'text/json',
		'',
		'x'.repeat(5000),
	])('type "%.40s": 415, which quotes it within bounds', async (type) => {
		for (const path of ['/api/v1/price', '/api/v1/prices']) {
			const called = await send(new TextEncoder().encode(JSON.stringify(good())), { 'content-type': type }, path);
			expectRefused(called, 415, 'unsupported_media_type');
			expect(called.problem.detail.length).toBeLessThan(200);
		}
	});

	it.each(['', ' ', '{', '{"region_id":}', "{'region_id':'a'}", '{"a":1}x', '\ufeff', 'NaN', '{"a":01}', '{"a":1,}', 'undefined', '{"a":"\n"}'])(
		'%j: 400',
		async (text) => {
			for (const path of ['/api/v1/price', '/api/v1/prices']) expectRefused(await send(text, {}, path), 400, 'malformed_json');
		},
	);

	it.each([
		['a stray byte', [0x22, 0xff, 0x22]],
		['a surrogate in UTF-8', [0x22, 0xed, 0xa0, 0x80, 0x22]],
		['an overlong slash', [0x22, 0xc0, 0xaf, 0x22]],
		['UTF-16', [0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]],
		['half a character', [0x22, 0xe9, 0x9b]],
	])('bytes that are not UTF-8, %s: 400', async (_, bytes) => {
		expectRefused(await send(new Uint8Array(bytes)), 400, 'malformed_json');
	});
});

describe('B4: values beyond what they may be', () => {
	const text = 'x'.repeat(65_536);
	const json = (fields: string) => `{"region_id":"a","product_type":"b",${fields}}`;
	it.each<[name: string, raw: string, path: string]>([
		['1e400', json('"attributes":{"n":1e400}'), '/attributes/n'],
		['-1e400', json('"attributes":{"n":-1e400}'), '/attributes/n'],
		['1e400 km', json('"attributes":{"distance_km":1e400}'), '/attributes/distance_km'],
		['an integer over 2^53 as a distance', json('"attributes":{"distance_km":9007199254740993}'), '/attributes/distance_km'],
		['an integer over 2^53 as an id', '{"region_id":9007199254740993,"product_type":"b"}', '/region_id'],
		['a number as a time', json('"timestamp":1768127400000'), '/timestamp'],
		['the year 1e6', json('"timestamp":"+1000000-01-01T00:00:00Z"'), '/timestamp'],
		['a lone surrogate in an id', json('"user_id":"a\\ud800"'), '/user_id'],
		['a lone surrogate in a region', '{"region_id":"\\udc00","product_type":"b"}', '/region_id'],
		['a lone surrogate in an attribute', json('"attributes":{"a":"\\ud83d"}'), '/attributes/a'],
		['NUL in an id', json('"user_id":"a\\u0000b"'), '/user_id'],
		['NUL in a product', '{"region_id":"a","product_type":"b\\u0000"}', '/product_type'],
		['a C1 control in an id', json('"user_id":"\\u0085"'), '/user_id'],
		['64 KB as a region', JSON.stringify({ region_id: text, product_type: 'b' }), '/region_id'],
		['64 KB as a user', JSON.stringify({ region_id: 'a', product_type: 'b', user_id: text }), '/user_id'],
		['64 KB as a time', JSON.stringify({ region_id: 'a', product_type: 'b', timestamp: text }), '/timestamp'],
		['64 KB as an attribute', JSON.stringify({ region_id: 'a', product_type: 'b', attributes: { a: text } }), '/attributes/a'],
		['64 KB as the name of one', JSON.stringify({ region_id: 'a', product_type: 'b', attributes: { [text]: 1 } }), `/attributes/${text}`],
		['an emoji as a region', JSON.stringify({ region_id: '🚕', product_type: 'b' }), '/region_id'],
		['an emoji as a product', JSON.stringify({ region_id: 'a', product_type: '🚕' }), '/product_type'],
	])('%s: 422 with the path, alone and in a batch', async (_, raw, path) => {
		expectRefused(await send(raw), 422, 'invalid', [path]);
		const { results } = JSON.parse((await send(`{"requests":[${raw}]}`, {}, '/api/v1/prices')).text) as {
			results: { code: string; errors: { path: string }[] }[];
		};
		expect(results.map(({ code, errors }) => [code, errors.map((error) => error.path)])).toEqual([['invalid', [path]]]);
	});

	it('a user may be an emoji, and is stored as a hash like any other', async () => {
		expect((await isolate.price(id, { body: { user_id: '🚕' } })).status).toBe(200);
		expect(JSON.stringify(isolate.batches)).not.toContain('🚕');
	});

	it('a query is judged as a body is', async () => {
		for (const query of ['', '?region_id=', '?region_id=%00', '?region_id=%F0%9F%9A%95', `?region_id=${'a'.repeat(65_000)}`, '?region_id=%ff'])
			expectRefused(await isolate.call('GET', `/api/v1/forecast${query}`), 422, 'invalid', ['/region_id']);
		expectRefused(await isolate.call('GET', '/api/v1/forecast?__proto__=a'), 422, 'invalid', ['/__proto__']);
	});
});
