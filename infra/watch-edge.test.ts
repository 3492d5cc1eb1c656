import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test, vi } from 'vitest';
import { watchEdge } from './watch-edge.ts';

const WATCH = { every_ms: 10, lost_ms: 400 };

test('watchEdge() calls onLost once when the edge stays away, not for one that comes back in time', async () => {
	const stderr = vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
	const told = () => stderr.mock.calls.map(([line]) => JSON.parse(String(line)).what as string);
	let port = 0;
	let served = 0;
	const serve = async () => {
		const server = createServer((_, answer) => {
			served += 1;
			answer.end('{"status":"ok"}');
		}).listen(port, '127.0.0.1');
		await once(server, 'listening');
		port = (server.address() as AddressInfo).port;
		return async () => {
			server.closeAllConnections();
			server.close();
			await once(server, 'close');
		};
	};
	let die = await serve();
	const lost: string[] = [];
	const unwatch = watchEdge(`http://127.0.0.1:${port}`, (cause) => lost.push(cause), WATCH);
	await vi.waitFor(() => expect(served).toBeGreaterThan(1));
	await die();
	await vi.waitFor(() => expect(told()).toEqual(['The edge does not answer']));
	die = await serve();
	await vi.waitFor(() => expect(told()).toEqual(['The edge does not answer', 'The edge answers again']));
	expect(lost).toEqual([]);
	const before = performance.now();
	await die();
	await vi.waitFor(() => expect(lost).toHaveLength(1), { timeout: 5000 });
	expect(performance.now() - before).toBeGreaterThanOrEqual(WATCH.lost_ms);
	expect(lost[0]).toContain('ECONNREFUSED');
	die = await serve();
	const seen = served;
	await new Promise((resolve) => setTimeout(resolve, 5 * WATCH.every_ms)); // nobody asks any more
	expect([served, lost.length]).toEqual([seen, 1]);
	unwatch();
	await die();
	stderr.mockRestore();
});
