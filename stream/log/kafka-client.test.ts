import { createRequire } from 'node:module';
import { describe, expect, test, vi } from 'vitest';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { kafkaClient } from './kafka-client.ts';

interface Queue {
	pending: unknown[];
	throttledUntil: number;
	scheduleCheckPendingRequests(): void;
	destroy(): void;
}
type MakeQueue = new (options: object) => Queue;

/** A connection's queue of requests as kafkajs makes it, after a client was made. */
function queue(): Queue {
	kafkaClient(kafkaPlace('kafka://127.0.0.1:9092'), { clientId: 'surgecast-test' });
	const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as MakeQueue;
	const logger = { debug: () => undefined, error: () => undefined, warn: () => undefined };
	return new RequestQueue({ maxInFlightRequests: 5, requestTimeout: 5000, enforceRequestTimeout: false, clientId: 'c', broker: 'b', logger });
}

describe('kafkaClient() mends the idle timer of kafkajs', () => {
	test('a connection with nothing pending arms no timer, however often it looks', () => {
		const idle = queue();
		const armed = vi.spyOn(globalThis, 'setTimeout');
		try {
			for (let look = 0; look < 3; look++) idle.scheduleCheckPendingRequests();
			expect(armed).not.toHaveBeenCalled();
		} finally {
			armed.mockRestore();
			idle.destroy();
		}
	});

	test('one with requests pending arms one, with a delay that is not negative, until a throttle ends', () => {
		const armed = vi.spyOn(globalThis, 'setTimeout');
		const busy = queue();
		const throttled = queue();
		try {
			busy.pending.push({});
			busy.scheduleCheckPendingRequests();
			busy.scheduleCheckPendingRequests();
			throttled.throttledUntil = Date.now() + 5000;
			throttled.pending.push({});
			throttled.scheduleCheckPendingRequests();
			const delays = armed.mock.calls.map(([, delay]) => delay);
			expect(delays).toHaveLength(2);
			expect(delays[0]).toBe(10);
			expect(delays[1]).toBeGreaterThan(4000);
		} finally {
			armed.mockRestore();
			busy.destroy();
			throttled.destroy();
		}
	});

	test('making many clients mends it once', () => {
		const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as { prototype: Queue };
		queue();
		const mended = prototype.scheduleCheckPendingRequests;
		queue();
		expect(prototype.scheduleCheckPendingRequests).toBe(mended);
	});
});
