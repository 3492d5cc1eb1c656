import { reset } from 'cloudflare:test';
import { exports } from 'cloudflare:workers';
import { SignJWT } from 'jose';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { edgeRoutes } from '#schemas/edge-routes.ts';
import { limits } from '#schemas/limits.ts';
import { forecastAnswer, priceAnswer } from '#schemas/price.ts';
import { problemDocument } from '#schemas/problem.ts';
import { roles } from '#schemas/role.ts';
import type { Route } from '#schemas/route.ts';
import { clientKeys, clientToken, newRegion, serviceToken, signedRelease, testKeys } from '../test-support.ts';
import { type Called, coldIsolate, openRegion, real, releaseEverywhere } from './door.test-support.ts';

afterEach(async () => {
	vi.restoreAllMocks();
	await reset();
});

function expectProblem({ response, problem }: Called, status: number, code: string): void {
	expect([response.status, problem.code]).toEqual([status, code]);
	expect(response.headers.get('content-type')).toBe('application/problem+json');
	expect(problemDocument.parse(problem)).toMatchObject({ status, type: `urn:surgecast:problem:${code}`, trace_id: expect.stringMatching(/^[0-9a-f]{32}$/) });
	expect(response.headers.has('retry-after')).toBe(status === 503 || status === 429);
}
const paths = ({ problem }: Called) => problem.errors?.map(({ path }) => path);

describe('POST /api/v1/price', () => {
	it('prices by what the Shard knows, in the shape of the contract', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		const { price, status, response } = await isolate.price(id, {
			body: { timestamp: '2020-01-01T00:00:00+08:00', user_id: 'u-77', attributes: { distance_km: 4.2 } },
		});
		expect(status).toBe(200);
		expect(response.headers.get('content-type')).toBe('application/json');
		expect(priceAnswer.parse(price)).toMatchObject({
			region_id: id,
			price: 12,
			currency: 'SGD',
			status: 'priced',
			versions: { release: 1, features: 2 ** 32 + 1 },
		});
		expect(price.decision_id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
		expect(Math.abs(Date.parse(price.decided_at) - Date.now())).toBeLessThan(10_000); // not by the client's timestamp
	});

	it('refuses what does not fit, at its place', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		const cases: [body: object, path: string][] = [
			[{ region_id: undefined }, '/region_id'],
			[{ region_id: 'UPPER' }, '/region_id'],
			[{ product_type: 7 }, '/product_type'],
			[{ timestamp: '2026-01-11' }, '/timestamp'],
			[{ user_id: '' }, '/user_id'],
			[{ user_id: 'a\u0000' }, '/user_id'],
			[{ user_id: '\ud800' }, '/user_id'],
			[{ attributes: { distance_km: -1 } }, '/attributes/distance_km'],
			[{ attributes: { distance_km: 100_001 } }, '/attributes/distance_km'],
			[{ attributes: { distance_km: 'far' } }, '/attributes/distance_km'],
			[{ attributes: { nested: {} } }, '/attributes/nested'],
			[{ attributes: { 'a/b': 'x'.repeat(257) } }, '/attributes/a~1b'],
			[{ attributes: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, 1])) }, '/attributes'],
			[{ surprise: 1 }, '/surprise'],
		];
		for (const [body, path] of cases) {
			const called = await isolate.price(id, { body });
			expectProblem(called, 422, 'invalid');
			expect(paths(called)).toEqual([path]);
		}
	});

	it('refuses what is not JSON, not UTF-8, too large, compressed, of another type, too deep or __proto__', async () => {
		await openRegion();
		const isolate = await coldIsolate();
		const send = (raw: BodyInit, headers: Record<string, string> = {}) => isolate.call('POST', '/api/v1/price', { raw, headers });
		expectProblem(await send('{"region_id":'), 400, 'malformed_json');
		expectProblem(await send(''), 400, 'malformed_json');
		expectProblem(await send(new Uint8Array([0x22, 0xff, 0x22])), 400, 'malformed_json');
		expectProblem(await send('x'.repeat(limits.edge_body_bytes_max + 1)), 413, 'too_large'); // before parsing: it is not JSON
		expectProblem(await send('{}', { 'content-length': String(limits.edge_body_bytes_max + 1) }), 413, 'too_large');
		let pulled = 0;
		const endless = new ReadableStream({
			pull(controller) {
				pulled += 1;
				controller.enqueue(new Uint8Array(64 * 1024));
			},
		});
		expectProblem(await send(endless), 413, 'too_large');
		expect(pulled).toBeLessThan(10);
		expectProblem(await send('{}', { 'content-encoding': 'gzip' }), 415, 'unsupported_media_type');
		expectProblem(await send('{}', { 'content-type': 'text/plain' }), 415, 'unsupported_media_type');
		expectProblem(await send('{}', { 'content-type': 'application/jsonp' }), 415, 'unsupported_media_type');
		expect((await send('{}', { 'content-type': 'Application/JSON ; charset=utf-8' })).status).toBe(422);
		expectProblem(await send('['.repeat(30_000) + ']'.repeat(30_000)), 422, 'invalid');
		expect(paths(await send('{"__proto__":{"region_id":"a"}}'))).toEqual(['/__proto__']);
		expectProblem(await send('{"region_id":"a","product_type":"p","attributes":{"n":1e400}}'), 422, 'invalid');
	});

	it('refuses an unknown region and an unknown product', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		expectProblem(await isolate.price(newRegion()), 404, 'unknown_region'); // a Shard without a release knows that too
		expectProblem(await isolate.price(id, { body: { product_type: 'helicopter' } }), 404, 'unknown_product');
	});

	it('counts prices against the limit of a subject, with the seconds to wait', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate({ env: { RATE_LIMIT_PRICES_PER_10S: '3' } });
		vi.useFakeTimers({ toFake: ['Date'], now: Math.floor(Date.now() / 10_000) * 10_000 + 2500 });
		try {
			const many = (n: number, token?: string) =>
				isolate.call('POST', '/api/v1/prices', {
					body: { requests: Array(n).fill({ region_id: id, product_type: 'standard_ride' }) },
					...(token ? { token } : {}),
				});
			expect((await many(2)).status).toBe(200);
			const over = await many(2);
			expectProblem(over, 429, 'rate_limited');
			expect(over.response.headers.get('retry-after')).toBe('8');
			expect((await isolate.price(id)).status).toBe(200);
			expect((await isolate.price(id)).status).toBe(429);
			expect((await many(3, await clientToken({ claims: { sub: 'another' } }))).status).toBe(200);
			vi.setSystemTime(Date.now() + 8000);
			expect((await many(3)).status).toBe(200);
		} finally {
			vi.useRealTimers();
		}
	});
});

describe('POST /api/v1/prices', () => {
	it('answers each in order: a bad one is a problem of its own and costs the others nothing', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		const ok = { region_id: id, product_type: 'standard_ride' };
		const raw = `{"requests":[${JSON.stringify(ok)},{"region_id":"BAD"},${JSON.stringify({ ...ok, region_id: newRegion() })},{"__proto__":1},7,{"region_id":"a","product_type":"b","user_id":"\\ud800"},${JSON.stringify({ ...ok, product_type: 'none' })},${JSON.stringify({ ...ok, user_id: 'u' })}]}`;
		const { status, text } = await isolate.call('POST', '/api/v1/prices', { raw });
		expect(status).toBe(200);
		const { results } = JSON.parse(text) as { results: { code?: string; price?: number; decision_id?: string; errors?: { path: string }[] }[] };
		expect(results.map(({ code, price }) => code ?? price)).toEqual([12, 'invalid', 'unknown_region', 'invalid', 'invalid', 'invalid', 'unknown_product', 12]);
		expect([results[1], results[3], results[5]].map((result) => result?.errors?.[0]?.path)).toEqual(['/region_id', '/__proto__', '/user_id']);
		expect(results[0]?.decision_id).not.toBe(results[7]?.decision_id);
		for (const result of results) expect((result.code ? problemDocument : priceAnswer).safeParse(result).success).toBe(true);
	});

	it('prices all of one region from one snapshot, though a newer one comes in between', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		await isolate.price(id);
		const requests = Array.from({ length: 100 }, (_, n) => ({ region_id: id, product_type: 'standard_ride', user_id: `u-${n}` }));
		const [{ text }] = await Promise.all([
			isolate.call('POST', '/api/v1/prices', { body: { requests } }),
			openRegion({ id, seq: 2, release: 2 }).then(() => isolate.price(id)),
		]);
		const { results } = JSON.parse(text) as { results: { versions: { release: number; features: number } }[] };
		expect(new Set(results.map(({ versions: { release, features } }) => `${release} ${features}`)).size).toBe(1);
	});

	it('refuses none, more than 100, and what is no batch', async () => {
		await openRegion();
		const isolate = await coldIsolate();
		const send = (body: unknown) => isolate.call('POST', '/api/v1/prices', { body });
		expectProblem(await send({ requests: [] }), 422, 'invalid');
		expectProblem(await send({ requests: Array(101).fill({}) }), 413, 'too_large');
		expect(paths(await send({ requests: {} }))).toEqual(['/requests']);
		expect(paths(await send({ requests: [{}], more: 1 }))).toEqual(['/more']);
		expectProblem(await send([]), 422, 'invalid');
		expectProblem(await send(null), 422, 'invalid');
	});
});

describe('GET /api/v1/forecast', () => {
	it('tells what is expected, by the ladder', async () => {
		const [live, quiet, bare] = [await openRegion(), await openRegion({ as_of: null, profile: Array(168).fill(12) }), await openRegion({ as_of: null })];
		const isolate = await coldIsolate();
		const of = (id: string) => isolate.call('GET', `/api/v1/forecast?region_id=${id}`);
		expect(forecastAnswer.parse(JSON.parse((await of(live)).text))).toMatchObject({ model: 'pulse', demand_score: 0.5, supply_score: null });
		expect(forecastAnswer.parse(JSON.parse((await of(quiet)).text))).toMatchObject({
			model: 'usual',
			as_of: null,
			age_ms: null,
			horizons: [{ expected: 3 }, {}, { expected: 12 }],
		});
		expectProblem(await of(bare), 404, 'no_forecast');
		expectProblem(await of(newRegion()), 404, 'unknown_region');
		const called = await isolate.call('GET', '/api/v1/forecast');
		expectProblem(called, 422, 'invalid');
		expect(paths(called)).toEqual(['/region_id']);
	});
});

describe('the door', () => {
	it('names the trace of the request, or one of its own where the header is broken', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
		const good = { traceparent: `00-${trace}-00f067aa0ba902b7-01` };
		expect((await isolate.price(id, { headers: good })).price.trace_id).toBe(trace);
		expect((await isolate.price(newRegion(), { headers: good })).problem.trace_id).toBe(trace);
		for (const traceparent of ['00-xyz', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`]) {
			const { trace_id } = (await isolate.price(id, { headers: { traceparent } })).price;
			expect(trace_id).toMatch(/^[0-9a-f]{32}$/);
			expect(trace_id).not.toBe(trace);
		}
	});

	it('has the four calls that need no token', async () => {
		const isolate = await coldIsolate();
		const open = (path: string, method = 'GET') => isolate.call(method, path, { token: null });
		expect((await open('/healthz')).text).toBe('{"status":"ok"}');
		const head = await open('/healthz', 'HEAD');
		expect([head.status, head.text]).toEqual([200, '']);
		expectProblem(await open('/readyz'), 503, 'unavailable');
		await openRegion();
		expect(JSON.parse((await open('/readyz')).text)).toMatchObject({ status: 'ready', release: 1 });
		const document = JSON.parse((await open('/openapi.json')).text) as { paths: Record<string, Record<string, { 'x-least-role'?: string }>> };
		for (const { path, method, role } of edgeRoutes as readonly Route[]) expect(document.paths[path]?.[method]?.['x-least-role'] ?? null).toBe(role);
		const { text, response } = await open('/metrics');
		expect(response.headers.get('content-type')).toMatch(/^text\/plain/);
		expect(text).toContain('surgecast_edge_requests_total{route="/healthz",status="200"} 2');
		expect(text).toContain('surgecast_edge_release 1');
	});

	it('refuses other methods and other paths, and counts them under names of its own', async () => {
		const isolate = await coldIsolate();
		for (const { path } of edgeRoutes) {
			const called = await isolate.call('DELETE', path, { token: null });
			expectProblem(called, 405, 'method_not_allowed');
			expect(called.response.headers.get('allow')).toMatch(/^(GET|POST)$/);
		}
		for (let n = 0; n < 50; n++) expectProblem(await isolate.call('GET', `/api/v1/${n}"}\n`, { token: null }), 404, 'not_found');
		expectProblem(await isolate.call('GET', '/', { token: null }), 404, 'not_found');
		const { text } = await isolate.call('GET', '/metrics', { token: null });
		expect(text).toContain('surgecast_edge_requests_total{route="other",status="404"} 51');
		expect(text.match(/^surgecast_edge_requests_total\{/gm)).toHaveLength(edgeRoutes.length + 1);
	});

	it('shows nothing of a defect', async () => {
		const id = await openRegion();
		const error = vi.spyOn(console, 'error').mockImplementation(() => undefined);
		const isolate = await coldIsolate({ env: { USER_PEPPER: Symbol('not a pepper') as unknown as string } });
		const called = await isolate.price(id, { body: { user_id: 'u' } });
		expectProblem(called, 500, 'internal');
		expect(called.text).not.toMatch(/Symbol|pepper|\.ts/);
		expect(error.mock.calls.flat().join()).toContain(called.problem.trace_id);
	});

	it('passes /internal/* to the shard script, and is 503 where that is down', async () => {
		const id = newRegion();
		const service = await serviceToken();
		const answer = await (exports as unknown as { default: Fetcher }).default.fetch(`http://x/internal/features/${id}`, {
			headers: { authorization: `Bearer ${service}` },
		});
		expect([answer.status, (await answer.json<{ code: string }>()).code]).toEqual([404, 'unknown_region']);
		const down = await coldIsolate({ env: { INTERNAL: { fetch: () => Promise.reject(new Error('gone')) } as unknown as Fetcher } });
		expectProblem(await down.call('GET', '/internal/shards/0'), 503, 'unavailable');
	});
});

describe('B9: authenticate()', () => {
	const unsigned = (header: object) =>
		[header, { iss: 'surgecast-local', aud: 'surgecast', sub: 'x', role: 'client', exp: 9e9 }]
			.map((part) => btoa(JSON.stringify(part)).replaceAll('=', '').replaceAll('+', '-').replaceAll('/', '_'))
			.join('.');
	const spoiled: [name: string, token: () => Promise<string | null> | string | null][] = [
		['none', () => null],
		['another scheme', async () => `Basic ${await clientToken()}`],
		['not a token', () => 'a.b.c'],
		['alg none', () => `${unsigned({ alg: 'none' })}.x`],
		['alg none without a signature', () => `${unsigned({ alg: 'none' })}.`],
		['alg nOnE under a known kid', () => `${unsigned({ alg: 'nOnE', kid: 'test-issuer' })}.x`],
		['no alg', () => `${unsigned({ kid: 'test-issuer' })}.x`],
		['a key of its own in the header', () => clientToken({ key: 'edge', header: { jwk: testKeys.edge.public } as object })],
		[
			'a key to fetch',
			() => clientToken({ key: 'edge', header: { kid: 'else', jku: 'https://evil.example/jwks.json', x5u: 'https://evil.example/x' } as object }),
		],
		['an extension that must be understood', () => clientToken({ header: { crit: ['exp'], exp: 1 } as object }).catch(() => 'a.b.c')],
		['claims that are no JSON', () => `${btoa('{"alg":"EdDSA","kid":"test-issuer"}').replaceAll('=', '')}.e30x.x`],
		['a signature cut off', async () => (await clientToken()).slice(0, -4)],
		[
			'the public key as a secret',
			async () =>
				new SignJWT({ role: 'client' })
					.setProtectedHeader({ alg: 'HS256', kid: 'test-issuer' })
					.setIssuer('surgecast-local')
					.setAudience('surgecast')
					.setSubject('x')
					.setExpirationTime('1h')
					.sign(new TextEncoder().encode(JSON.stringify(testKeys.issuer.public))),
		],
		['another audience', () => clientToken({ claims: { aud: 'other' } })],
		['another issuer', () => clientToken({ claims: { iss: 'https://else' } })],
		['another kid', () => clientToken({ header: { kid: 'nobody' } })],
		['another key under the kid', () => clientToken({ key: 'edge' })],
		['a service token', () => serviceToken()],
		['expired', () => clientToken({ ttl: -limits.token_leeway_seconds - 1 })],
		['without exp', () => clientToken({ claims: { exp: undefined } })],
		['without sub', () => clientToken({ claims: { sub: undefined } })],
		['without role', () => clientToken({ claims: { role: undefined } })],
		['not yet valid', () => clientToken({ claims: { nbf: Math.floor(Date.now() / 1000) + 60 } })],
		['100 KB', async () => `${await clientToken()}${'a'.repeat(100_000)}`],
	];
	it('remembers no more tokens than its limits, and none that is long', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		vi.spyOn((await import('#schemas/limits.ts')).limits, 'tokens_verified_max', 'get').mockReturnValue(3 as never); // of the cold isolate's modules
		const tokens = await Promise.all(Array.from({ length: 4 }, () => clientToken({ claims: { jti: crypto.randomUUID() } })));
		const long = await clientToken({ claims: { jti: 'x'.repeat(limits.token_chars_remembered_max) } });
		const verify = vi.spyOn(crypto.subtle, 'verify');
		const verified = async (token: string) => {
			const before = verify.mock.calls.length;
			expect((await isolate.price(id, { token })).status).toBe(200);
			return verify.mock.calls.length - before;
		};
		for (const token of tokens) expect(await verified(token)).toBe(1);
		expect([await verified(tokens[3]!), await verified(tokens[1]!), await verified(tokens[0]!)]).toEqual([0, 0, 1]); // the oldest was forgotten
		expect([await verified(long), await verified(long)]).toEqual([1, 1]);
	});

	it('answers everything wrong with a token alike, and fetches nothing', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		await isolate.price(id);
		const bodies = new Set<string>();
		const fetched = vi.spyOn(globalThis, 'fetch');
		for (const [name, make] of spoiled) {
			const called = await isolate.price(id, { token: await make(), headers: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' } });
			expect([name, called.status]).toEqual([name, 401]);
			expectProblem(called, 401, 'unauthenticated');
			expect(called.response.headers.get('www-authenticate')).toBe('Bearer');
			bodies.add(called.text);
		}
		expect(bodies.size).toBe(1);
		expect(fetched).not.toHaveBeenCalled();
		expect(
			((await (await real.INGESTION.fetch('http://fake-ingestion/')).json()) as { path: string }[]).filter(({ path }) => path !== '/internal/decisions'),
		).toEqual([]);
	});

	it('verifies a token once, whatever comes between, and knows it no longer than its exp', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		const token = await clientToken({ claims: { jti: crypto.randomUUID() }, ttl: 60 });
		const verify = vi.spyOn(crypto.subtle, 'verify');
		for (let i = 0; i < 5; i++) expect((await isolate.price(id, { token })).status).toBe(200);
		expect(verify).toHaveBeenCalledTimes(1);
		vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + (60 + limits.token_leeway_seconds + 1) * 1000 });
		const { status } = await isolate.price(id, { token });
		vi.useRealTimers();
		expect(status).toBe(401);
	});

	it('lets each role into the routes of the table, and no other', async () => {
		await openRegion();
		const isolate = await coldIsolate();
		await isolate.price(newRegion());
		for (const { method, path, role } of edgeRoutes as readonly Route[])
			for (const given of [...roles, 'service', 'nonsense']) {
				const token = await clientToken({ claims: { role: given } });
				const { status } = await isolate.call(method.toUpperCase(), path, { token, ...(method === 'post' ? { body: {} } : {}) });
				expect([path, given, status === 403]).toEqual([path, given, role !== null && given !== role]);
			}
	});

	it('learns a new key by asking a Shard, once a second at most', async () => {
		const id = await openRegion();
		const isolate = await coldIsolate();
		await isolate.price(id);
		// A key that replaces the issuer's: every Shard has it, this isolate does not. No copy is asked for, since nobody gets in.
		const { pointer, bodies } = await signedRelease(2, { keys: { ...clientKeys(2), jwks: { keys: [{ ...testKeys.edge.public, kid: 'new' }] } } });
		await releaseEverywhere({ pointer, bodies });
		const token = await clientToken({ key: 'edge', header: { kid: 'new' } });
		const asked = isolate.questions.length;
		expect((await isolate.price(id, { token })).status).toBe(200);
		expect((await isolate.price(id)).status).toBe(401); // the old key is withdrawn, also for a token known before
		const stranger = await clientToken({ header: { kid: 'stranger' } });
		for (let i = 0; i < 10; i++) expect((await isolate.price(id, { token: stranger })).status).toBe(401);
		expect(isolate.questions.length - asked).toBeLessThanOrEqual(3);
	});

	it('is 503 while nobody has keys, and takes them from KV where no Shard answers', async () => {
		vi.spyOn(console, 'warn').mockImplementation(() => undefined);
		const dead = { shard: () => Promise.reject(new Error('down')) };
		expectProblem(await (await coldIsolate(dead)).price(newRegion()), 503, 'unavailable');
		await real.RELEASES.put('release', JSON.stringify((await signedRelease(1)).pointer));
		const isolate = await coldIsolate(dead);
		expectProblem(await isolate.price(newRegion()), 503, 'unavailable'); // the region now, not the token
		expectProblem(await isolate.price(newRegion(), { token: await clientToken({ ttl: -60 }) }), 401, 'unauthenticated');
	});

	it('takes ES256 and RS256 from an external issuer', async () => {
		const id = await openRegion();
		const pairs = await Promise.all(
			(['ES256', 'RS256'] as const).map(async (alg) => {
				const parameters =
					alg === 'ES256'
						? { name: 'ECDSA', namedCurve: 'P-256' }
						: { name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' };
				const pair = (await crypto.subtle.generateKey(parameters, true, ['sign', 'verify'])) as CryptoKeyPair;
				return { alg, ...pair, jwk: { ...((await crypto.subtle.exportKey('jwk', pair.publicKey)) as JsonWebKey), kid: alg, alg } };
			}),
		);
		const keys = { version: 5, issuer: 'https://issuer', audience: 'prices', jwks: { keys: pairs.map(({ jwk }) => jwk as Record<string, unknown>) } };
		const { pointer, bodies } = await signedRelease(2, { keys });
		await releaseEverywhere({ pointer, bodies });
		const isolate = await coldIsolate();
		for (const { alg, privateKey } of pairs) {
			const token = await new SignJWT({ role: 'client' })
				.setProtectedHeader({ alg, kid: alg })
				.setIssuer('https://issuer')
				.setAudience('prices')
				.setSubject('x')
				.setExpirationTime('1h')
				.sign(privateKey);
			expect([alg, (await isolate.price(id, { token })).status]).toEqual([alg, 200]);
		}
		expect((await isolate.price(id)).status).toBe(401); // the local issuer is another one
		// RS to HS: the public key, in every form that an attacker has it, as the secret of an HMAC.
		const { publicKey, jwk } = pairs[1]!;
		const spki = new Uint8Array((await crypto.subtle.exportKey('spki', publicKey)) as ArrayBuffer);
		const base64 = btoa(String.fromCharCode(...spki));
		const pem = `-----BEGIN PUBLIC KEY-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END PUBLIC KEY-----\n`;
		for (const secret of [spki, new TextEncoder().encode(pem), new TextEncoder().encode(JSON.stringify(jwk)), new TextEncoder().encode(String(jwk.n))])
			for (const alg of ['HS256', 'HS512']) {
				const token = await new SignJWT({ role: 'client' })
					.setProtectedHeader({ alg, kid: 'RS256' })
					.setIssuer('https://issuer')
					.setAudience('prices')
					.setSubject('x')
					.setExpirationTime('1h')
					.sign(secret);
				expectProblem(await isolate.price(id, { token }), 401, 'unauthenticated');
			}
	});
});
