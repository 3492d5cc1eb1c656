import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEdgeClient } from './edge-client.ts';
import { withTrace } from './trace-context.ts';
import { UnavailableError } from './unavailable-error.ts';

let server: Server;
let url: string;
let answer: (request: { method: string; path: string; body: string; headers: IncomingMessage['headers'] }) => { status?: number; body?: string } | 'hang';
beforeAll(async () => {
	server = createServer(async (incoming, outgoing) => {
		let body = '';
		for await (const chunk of incoming) body += chunk;
		const made = answer({ method: incoming.method ?? '', path: incoming.url ?? '', body, headers: incoming.headers });
		if (made === 'hang') return;
		outgoing.writeHead(made.status ?? 200);
		outgoing.end(made.body ?? '{}');
	});
	await new Promise<void>((resolve) => {
		server.listen(0, '127.0.0.1', resolve);
	});
	url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
	server.closeAllConnections();
	server.close();
});
const edge = () => createEdgeClient({ url, token: async () => 'a-token' });

describe('createEdgeClient()', () => {
	it('calls the /internal door with a service token and the trace of the request', async () => {
		const seen: unknown[] = [];
		answer = ({ method, path, body, headers }) => {
			seen.push([method, path, body, headers.authorization, headers.traceparent?.slice(3, 35)]);
			if (path.endsWith('releases')) return { body: '{"acknowledged":[{"shard":0,"release":3}],"failed":[]}' };
			return { body: path.endsWith('release') ? 'text' : '{}' };
		};
		const trace = 'c'.repeat(32);
		await withTrace(trace, async () => {
			await edge().putBody('catalogue/3', '[]');
			expect(await edge().getBody('release')).toBe('text');
			const pointer = { jws: 'x', keys: { version: 1, issuer: 'i', audience: 'a', jwks: { keys: [] } } };
			expect(await edge().pushRelease({ pointer, bodies: {} })).toEqual({ acknowledged: [{ shard: 0, release: 3 }], failed: [] });
			await edge().pushEntries({ shard: 2, entries: [] });
		});
		expect(seen).toMatchObject([
			['PUT', '/internal/kv/catalogue/3', '[]', 'Bearer a-token', trace],
			['GET', '/internal/kv/release', '', 'Bearer a-token', trace],
			['POST', '/internal/releases', /pointer/, 'Bearer a-token', trace].map((one) => (one instanceof RegExp ? expect.stringMatching(one) : one)),
			['POST', '/internal/entries', '{"shard":2,"entries":[]}', 'Bearer a-token', trace],
		]);
	});

	it('tells what is not there from what does not answer', async () => {
		answer = () => ({ status: 404 });
		expect(await edge().getBody('release')).toBeNull();
		expect(await edge().regionFeatures('x')).toBeNull();
		await expect(edge().shardState(9)).rejects.toThrow(UnavailableError);
		answer = () => ({ status: 500, body: 'stack' });
		await expect(edge().getBody('release')).rejects.toThrow(new UnavailableError('The edge answers with status 500.'));
		for (const body of ['not JSON', '{"shard":"one"}', '[]']) {
			answer = () => ({ body });
			await expect(edge().shardState(1)).rejects.toThrow(UnavailableError);
		}
		const nobody = createEdgeClient({ url: 'http://127.0.0.1:1', token: async () => 'x' });
		await expect(nobody.getBody('release')).rejects.toThrow(new UnavailableError('The edge does not answer.'));
	});

	it('gives up at its deadline', async () => {
		answer = () => 'hang';
		await expect(edge().shardState(1)).rejects.toThrow(UnavailableError);
	});
});
