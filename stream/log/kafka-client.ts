import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import kafkajs, { type Kafka as KafkaClient, type SASLOptions } from 'kafkajs';
import type { KafkaPlace } from '#control-plane/kafka-place.ts';

/** Gives up after some seconds: the door answers 503, the worker waits and tries again. */
const RETRY = { initialRetryTime: 100, maxRetryTime: 1000, retries: 5 };
const CONNECT_MS = 1000;
const REQUEST_MS = 5000;

process.env['KAFKAJS_NO_PARTITIONER_WARNING'] = '1';

/**
 * kafkajs 2.2.4 arms a timer with a negative delay, that is 1 ms, for ever, on every connection that has nothing pending: 4 % of a core at rest.
 * Nothing is lost by not arming it then: what comes later arms it.
 */
function mendIdleTimer(): void {
	const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as { prototype: Record<string, unknown> };
	const prototype = RequestQueue.prototype as { pending?: unknown[]; scheduleCheckPendingRequests?: (this: { pending: unknown[] }) => void; mended?: boolean };
	if (prototype.mended) return;
	const original = prototype.scheduleCheckPendingRequests;
	if (!original) throw new Error('Cannot mend the idle timer of kafkajs: RequestQueue has no scheduleCheckPendingRequests; is it still version 2.2.4?');
	prototype.scheduleCheckPendingRequests = function () {
		if (this.pending.length > 0) original.call(this);
	};
	prototype.mended = true;
}

/** The authorities of a file. @throws Error that names it. */
function authorities(file: string): string {
	let text: string;
	try {
		text = readFileSync(file, 'utf8');
	} catch (error) {
		throw new Error(`Cannot read the authorities that Kafka's certificates are checked by, ca=${file}: ${(error as Error).message}`);
	}
	// Node takes a file without any for one that trusts nobody, and says no more than that a certificate is not trusted.
	if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new Error(`ca=${file} holds no certificate, wanted are certificates in PEM`);
	return text;
}

/** A client of the cluster. @throws Error when the file of its authorities is not one. */
export function kafkaClient({ brokers, tls, ca, sasl }: KafkaPlace, { clientId }: { clientId: string }): KafkaClient {
	mendIdleTimer();
	return new kafkajs.Kafka({
		clientId,
		brokers,
		ssl: tls && ca !== undefined ? { ca: authorities(ca) } : tls,
		...(sasl ? { sasl: sasl as SASLOptions } : {}),
		connectionTimeout: CONNECT_MS,
		requestTimeout: REQUEST_MS,
		retry: RETRY,
		// It logs every try as an error, rebalances too. What matters is thrown here, or told by the consumer's events.
		logLevel: kafkajs.logLevel.NOTHING,
	});
}
