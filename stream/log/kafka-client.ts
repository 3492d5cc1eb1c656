import { readFileSync } from 'node:fs';
import kafkajs, { type Kafka as KafkaClient, type SASLOptions } from 'kafkajs';
import type { KafkaPlace } from '#control-plane/kafka-place.ts';
import { mendKafkajs } from './mend-kafkajs.ts';

/** Gives up after some seconds: the door answers 503, the worker waits and tries again. */
const RETRY = { initialRetryTime: 100, maxRetryTime: 1000, retries: 5 };
const CONNECT_MS = 1000;
const REQUEST_MS = 5000;

process.env['KAFKAJS_NO_PARTITIONER_WARNING'] = '1';

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
	mendKafkajs();
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
