import { once } from 'node:events';
import { request as httpRequest, Server } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import * as z from 'zod';
import { limits } from '#schemas/limits.ts';
import { problemDocument } from '#schemas/problem.ts';
import { commonRoutes, type Route } from '#schemas/route.ts';
import { createDoor, type DoorApp, type Handler } from './door.ts';
import { createMetrics } from './metrics.ts';
import { type ServedDoor, serveDoor } from './serve-door.ts';
import { UnavailableError } from './unavailable-error.ts';

const thing = z.strictObject({
	name: z.string().max(64),
	size: z.int().nonnegative(),
	weight: z.number().optional(),
	inner: z.strictObject({ ok: z.boolean() }).optional(),
});
const routes = [
	{ method: 'put', path: '/things/{id}', role: 'operator', summary: 'Put', body: thing, answers: { 200: thing } },
	{
		method: 'get',
		path: '/things/{id}',
		role: 'viewer',
		summary: 'Get',
		query: z.strictObject({ n: z.string().regex(/^\d+$/).default('1') }),
		answers: { 200: thing },
	},
	{
		method: 'post',
		path: '/lines',
		role: 'producer',
		summary: 'Lines',
		body: z.unknown(),
		types: ['application/json', 'application/x-ndjson'],
		answers: { 202: thing },
	},
	{ method: 'post', path: '/fail', role: 'admin', summary: 'Fails', answers: { 200: thing } },
	{ method: 'post', path: '/later', role: 'admin', summary: 'Later', answers: { 200: thing } },
	{ method: 'post', path: '/slow', role: 'admin', summary: 'Slow', answers: { 200: thing } },
	...commonRoutes,
] as const satisfies Route[];

let ready: string | null = null;
const metrics = createMetrics();
const app: DoorApp = createDoor({
	title: 'test door',
	routes,
	handlers: {
		'PUT /things/{id}': ({ params, body, caller, traceId }) => ({ status: 200, body: { id: params.id, body, caller, traceId } }),
		'GET /things/{id}': ({ params, query }) => ({ status: 200, body: { id: params.id, query } }),
		'POST /lines': ({ text, contentType }) => ({ status: 202, body: { text, contentType } }),
		'POST /fail': () => {
			throw new Error('secret of /etc/passwd at select * from users');
		},
		'POST /later': () => {
			throw new UnavailableError('The edge does not answer.', { cause: 'ECONNREFUSED' });
		},
		'POST /slow': async () => {
			await new Promise((resolve) => setTimeout(resolve, 300));
			return { status: 200, body: {} };
		},
	},
	authenticate: async (header) => (header?.startsWith('Bearer ') ? { subject: 'me', role: header.slice(7) } : null),
	metrics,
	readiness: () => ready,
	rawBodies: ['POST /lines'],
	internal: {
		routes: [{ method: 'get', path: '/internal/x', role: 'service', summary: 'x', answers: { 200: 'application/json' } }],
		handlers: { 'GET /internal/x': (() => ({ status: 200, body: {} })) as Handler },
	},
});

interface Sent {
	role?: string | null;
	raw?: RequestInit['body'];
	headers?: Record<string, string>;
}
async function call(method: string, path: string, { role = 'admin', raw, headers = {} }: Sent = {}) {
	const init = {
		method,
		headers: { ...(role ? { authorization: `Bearer ${role}` } : {}), ...(raw === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
	};
	const response = await app.request(path, { ...init, ...(raw === undefined ? {} : { body: raw, duplex: 'half' }) } as RequestInit);
	return { response, text: await response.text(), status: response.status };
}
async function refused(sent: ReturnType<typeof call>, status: number, code: string) {
	const { response, text } = await sent;
	expect([response.status, response.headers.get('content-type')], text).toEqual([status, 'application/problem+json']);
	const document = problemDocument.parse(JSON.parse(text));
	expect(document).toMatchObject({ status, code });
	return document;
}
const put = (raw: RequestInit['body'], more: Sent = {}) => call('PUT', '/things/a', { raw, ...more });

describe('createDoor()', () => {
	it('hands parsed parameters, query and body to the handler', async () => {
		const { text } = await put('{"name":"x","size":-0,"name":"y"}');
		expect(JSON.parse(text)).toMatchObject({ id: 'a', body: { name: 'y', size: 0 }, caller: { subject: 'me', role: 'admin' } });
		expect(Object.is(JSON.parse(text).body.size, 0)).toBe(true);
		expect(JSON.parse((await call('GET', '/things/%61?n=2&n=3&surprise=%00')).text)).toEqual({ id: 'a', query: { n: '3' } });
	});

	it('refuses unknown paths and methods before anything else', async () => {
		await refused(call('GET', '/nothing', { role: null }), 404, 'not_found');
		const { response } = await call('DELETE', '/things/a', { role: null });
		expect([response.status, response.headers.get('allow')]).toEqual([405, 'PUT, GET, HEAD']);
		await refused(call('DELETE', '/things/a'), 405, 'method_not_allowed');
		await refused(call('OPTIONS', '/healthz'), 405, 'method_not_allowed');
	});

	it('judges the token and the role before the body is read', async () => {
		let pulled = 0;
		const endless = () => new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1024 + 0 * pulled++)) }, { highWaterMark: 0 });
		await refused(put(endless(), { role: null }), 401, 'unauthenticated');
		await refused(put(endless(), { role: 'viewer' }), 403, 'forbidden');
		expect(pulled).toBe(0);
		await refused(put(endless(), { role: 'admin' }), 413, 'too_large');
		expect(pulled).toBeLessThan(2000);
	});

	it('B1: refuses by announced and by counted length, before parsing', async () => {
		await refused(put('{}', { headers: { 'content-length': String(limits.body_bytes_max + 1) } }), 413, 'too_large');
		await refused(put(JSON.stringify({ name: 'x'.repeat(limits.body_bytes_max), size: 1 })), 413, 'too_large');
		await refused(put(' '.repeat(limits.body_bytes_max + 1)), 413, 'too_large');
	});

	it.each<[string, RequestInit['body'], Record<string, string>, number, string, string?]>([
		['B3 malformed', '{"name":', {}, 400, 'malformed_json'],
		['B3 empty', '', {}, 400, 'malformed_json'],
		['B3 not UTF-8', new Uint8Array([0x22, 0xff, 0x22]), {}, 400, 'malformed_json'],
		['B3 NaN', '{"name":"x","size":NaN}', {}, 400, 'malformed_json'],
		['B1 30,000 levels deep', '['.repeat(30_000) + ']'.repeat(30_000), {}, 422, 'invalid', ''],
		['B1 30,000 objects deep', `${'{"a":'.repeat(30_000)}1${'}'.repeat(30_000)}`, {}, 422, 'invalid', ''],
		['B2 __proto__', '{"name":"x","size":1,"__proto__":{"admin":true}}', {}, 422, 'invalid', '/__proto__'],
		['B2 __proto__ within', '{"name":"x","size":1,"inner":{"ok":true,"__proto__":{}}}', {}, 422, 'invalid', '/inner/__proto__'],
		['B2 constructor', '{"name":"x","size":1,"constructor":{"prototype":{}}}', {}, 422, 'invalid', '/constructor'],
		['B4 1e400', '{"name":"x","size":1,"weight":1e400}', {}, 422, 'invalid', '/weight'],
		['B4 beyond 2^53', '{"name":"x","size":9007199254740993}', {}, 422, 'invalid', '/size'],
		['B4 a lone surrogate', '{"name":"\\ud800","size":1}', {}, 422, 'invalid', '/name'],
		['an unknown field with a slash', '{"name":"x","size":1,"a/b~c":1}', {}, 422, 'invalid', '/a~1b~0c'],
		['B4 64 KB of text', JSON.stringify({ name: 'x'.repeat(65_536), size: 1 }), {}, 422, 'invalid', '/name'],
		['null', 'null', {}, 422, 'invalid', ''],
		['a list', '[]', {}, 422, 'invalid', ''],
		['B1 a gzip bomb', gzipSync(Buffer.alloc(10_000_000)), { 'content-encoding': 'gzip' }, 415, 'unsupported_media_type'],
		['two encodings', '{}', { 'content-encoding': 'identity, br' }, 415, 'unsupported_media_type'],
		['B3 text', '{}', { 'content-type': 'text/plain' }, 415, 'unsupported_media_type'],
		['B3 a form', '{}', { 'content-type': 'multipart/form-data; boundary=x' }, 415, 'unsupported_media_type'],
		['B3 no type', '{}', { 'content-type': '' }, 415, 'unsupported_media_type'],
	])('refuses a body that is %s', async (_, raw, headers, status, code, path) => {
		const document = await refused(put(raw, { headers }), status, code);
		if (path !== undefined) expect(document.errors?.map((error) => error.path)).toContain(path);
	});

	it('takes a charset and a byte order mark', async () => {
		expect((await put('\ufeff{"name":"x","size":1}', { headers: { 'content-type': 'Application/JSON; charset=utf-8' } })).status).toBe(200);
	});

	it('refuses a query that does not fit', async () => {
		expect((await refused(call('GET', '/things/a?n=x'), 422, 'invalid')).errors?.[0]?.path).toBe('/n');
	});

	it('leaves raw bodies to their handler, checked for size, type and UTF-8', async () => {
		const producer = { role: 'producer' };
		const ndjson = { 'content-type': 'application/x-ndjson' };
		const { text, status } = await call('POST', '/lines', { ...producer, raw: '{"a":1}\n{', headers: ndjson });
		expect([status, JSON.parse(text)]).toEqual([202, { text: '{"a":1}\n{', contentType: 'application/x-ndjson' }]);
		await refused(call('POST', '/lines', { ...producer, raw: new Uint8Array([0xc0]), headers: ndjson }), 400, 'malformed_json');
		await refused(call('POST', '/lines', { ...producer, raw: 'x'.repeat(limits.body_bytes_max + 1), headers: ndjson }), 413, 'too_large');
		await refused(call('POST', '/lines', { ...producer, raw: '{}', headers: { 'content-type': 'text/csv' } }), 415, 'unsupported_media_type');
	});

	it('shows nothing of a defect, and says when to come again', async () => {
		const { response, text } = await call('POST', '/fail');
		expect(response.status).toBe(500);
		expect(text).not.toMatch(/secret|passwd|select|\.ts/);
		const later = await call('POST', '/later');
		expect([later.status, later.response.headers.get('retry-after')]).toEqual([503, '1']);
		expect(later.text).not.toContain('ECONNREFUSED');
		expect(JSON.parse(later.text).detail).toBe('The edge does not answer.');
	});

	it('honours a good traceparent and ignores a broken one', async () => {
		const id = 'a'.repeat(32);
		const header = (traceparent: string) => ({ role: null, headers: { traceparent } });
		expect((await refused(call('GET', '/things/a', header(`00-${id}-${'b'.repeat(16)}-01`)), 401, 'unauthenticated')).trace_id).toBe(id);
		for (const broken of ['00-zz', `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`, 'x'.repeat(5000)]) {
			expect((await refused(call('GET', '/things/a', header(broken)), 401, 'unauthenticated')).trace_id).toMatch(/^[0-9a-f]{32}$/);
		}
	});

	it('keeps calls between our own processes to role service, and out of the document', async () => {
		await refused(call('GET', '/internal/x', { role: null }), 401, 'unauthenticated');
		await refused(call('GET', '/internal/x', { role: 'admin' }), 403, 'forbidden');
		expect((await call('GET', '/internal/x', { role: 'service' })).status).toBe(200);
		expect(Object.keys(JSON.parse((await call('GET', '/openapi.json', { role: null })).text).paths)).toEqual([
			'/things/{id}',
			'/lines',
			'/fail',
			'/later',
			'/slow',
			'/healthz',
			'/readyz',
			'/metrics',
			'/openapi.json',
		]);
	});

	it('tells health, readiness with its cause, and metrics by route', async () => {
		expect((await call('GET', '/healthz', { role: null })).status).toBe(200);
		ready = 'The log is not open.';
		expect((await refused(call('GET', '/readyz', { role: null }), 503, 'unavailable')).detail).toBe('The log is not open.');
		ready = null;
		expect((await call('HEAD', '/readyz', { role: null })).status).toBe(200);
		metrics.gauge('things', { help: 'Things', read: () => 7 });
		const { text, response } = await call('GET', '/metrics', { role: null });
		expect(response.headers.get('content-type')).toMatch(/^text\/plain/);
		expect(text).toContain('http_requests_total{method="PUT",route="/things/{id}",status="401"}');
		expect(text).toContain('things 7');
		expect(text).not.toContain('/things/a');
	});

	it('does not open with a route that has no handler', () => {
		const options = { title: 'x', authenticate: async () => null, metrics: createMetrics(), readiness: () => null };
		expect(() => createDoor({ ...options, routes: [routes[0]], handlers: {} as never })).toThrow(/"PUT \/things\/\{id\}" has no handler/);
	});
});

describe('serveDoor()', () => {
	let served: ServedDoor | undefined;
	afterEach(async () => {
		await served?.close();
		served = undefined;
	});
	const serve = async () => {
		served = await serveDoor(app, { host: '127.0.0.1', port: 0 });
		return served;
	};
	const raw = async (port: number, text: string): Promise<string> => {
		const socket = connect(port, '127.0.0.1');
		socket.write(text);
		let answer = '';
		socket.on('data', (chunk) => {
			answer += chunk.toString();
		});
		await once(socket, 'close');
		return answer;
	};

	it('answers over HTTP, bodies counted as they stream', async () => {
		const { url } = await serve();
		const headers = { authorization: 'Bearer admin', 'content-type': 'application/json' };
		const good = await fetch(`${url}/things/a`, { method: 'PUT', headers, body: '{"name":"x","size":1}' });
		expect([good.status, (await good.json()) as unknown]).toMatchObject([200, { body: { name: 'x', size: 1 } }]);
		for (const body of [' '.repeat(limits.body_bytes_max + 1), new Blob([' '.repeat(2 * limits.body_bytes_max)]).stream()]) {
			const response = await fetch(`${url}/things/a`, { method: 'PUT', headers, body, duplex: 'half' } as RequestInit);
			expect([response.status, response.headers.get('content-type')]).toEqual([413, 'application/problem+json']);
		}
	});

	it('answers what is no HTTP with a problem of its own', async () => {
		const { port } = await serve();
		expect(await raw(port, 'hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*application\/problem\+json/s);
		expect(await raw(port, `GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(9000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 .*"code":"too_large"/s);
		expect(await raw(port, 'GET /healthz HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*application\/problem\+json/s);
		expect(await raw(port, 'GET http://[ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*application\/problem\+json/s);
	});

	it('B7: closes connections that never say anything', async () => {
		served = await serveDoor(app, { host: '127.0.0.1', port: 0, headersMs: 100 });
		const silent = connect(served.port, '127.0.0.1').resume();
		await once(silent, 'close');
		expect((await fetch(`${served.url}/healthz`)).status).toBe(200);
	});

	it('B7: cuts off headers and bodies that come too slowly, byte by byte, with a 408 that is a problem', async () => {
		served = await serveDoor(app, { host: '127.0.0.1', port: 0, headersMs: 300, requestMs: 600 });
		const { port } = served;
		const drip = async (start: string): Promise<string> => {
			const socket = connect(port, '127.0.0.1');
			let answer = '';
			socket.on('data', (chunk) => {
				answer += chunk.toString();
			});
			socket.on('error', () => undefined); // what we still send when it is cut
			socket.write(start);
			const dripping = setInterval(() => socket.write('x'), 50);
			await once(socket, 'close');
			clearInterval(dripping);
			return answer;
		};
		const body = 'PUT /things/a HTTP/1.1\r\nhost: x\r\nauthorization: Bearer admin\r\ncontent-type: application/json\r\ncontent-length: 900000\r\n\r\n';
		const dripped = await Promise.all([drip('GET /healthz HTTP/1.1\r\nx-slow: '), drip(body)]);
		for (const answer of dripped) expect(answer).toMatch(/^HTTP\/1\.1 408 .*application\/problem\+json.*did not come in time/s);
		expect((await fetch(`${served.url}/healthz`)).status).toBe(200);
	});

	// Both ends are descriptors of this process, so 2,000 sockets are 4,000 of them: what any machine allows. 10,000 are within limits.door_connections_max.
	it('B7: 2,000 idle sockets do not keep others out', async () => {
		const { port, url } = await serve();
		expect(limits.door_connections_max).toBeGreaterThan(10_000);
		const idle = Array.from({ length: 2000 }, () => connect(port, '127.0.0.1'));
		await Promise.all(idle.map((socket) => once(socket, 'connect')));
		expect((await fetch(`${url}/healthz`)).status).toBe(200);
		for (const socket of idle) socket.destroy();
	});

	it('takes a client that goes away in the middle of its body for no defect', async () => {
		const { port, url } = await serve();
		const socket = connect(port, '127.0.0.1');
		socket.write('PUT /things/a HTTP/1.1\r\nhost: x\r\nauthorization: Bearer admin\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{');
		await new Promise((resolve) => setTimeout(resolve, 50));
		socket.destroy();
		const counted = async (status: number) => (await (await fetch(`${url}/metrics`)).text()).includes(`method="PUT",route="/things/{id}",status="${status}"`);
		await expect.poll(() => counted(400)).toBe(true);
		expect(await counted(500)).toBe(false);
	});

	it('names a port that is taken', async () => {
		const { port } = await serve();
		await expect(serveDoor(app, { host: '127.0.0.1', port })).rejects.toThrow(`127.0.0.1:${port}`);
	});

	it('finishes the requests in flight when it closes, and drops idle connections', async () => {
		served = await serveDoor(app, { host: '127.0.0.1', port: 0, headersMs: 60_000, requestMs: 60_000 }); // so that silence alone ends none meanwhile
		const { port, close } = served;
		const idle = connect(port, '127.0.0.1');
		await once(idle, 'connect');
		const answer = new Promise<number>((resolve, reject) => {
			const sent = httpRequest({ port, host: '127.0.0.1', method: 'POST', path: '/slow', headers: { authorization: 'Bearer admin' } }, (response) => {
				response.resume();
				resolve(response.statusCode ?? 0);
			});
			sent.on('error', reject);
			sent.end();
		});
		await new Promise((resolve) => setTimeout(resolve, 100));
		const dropped = once(idle, 'close');
		const cut = vi.spyOn(Server.prototype, 'closeAllConnections'); // what ends a stop that would wait for ever
		await close();
		expect(await answer).toBe(200);
		await dropped;
		expect(cut).not.toHaveBeenCalled();
		cut.mockRestore();
		served = undefined;
	});
});
