import type { Kafka, Message, Producer } from 'kafkajs';
import { limits } from '#schemas/limits.ts';
import type { Topic } from '#schemas/topic.ts';
import { type Appended, LogUnavailable } from './event-log.ts';

/** What a record costs in a batch beside its key, value and headers, at most. */
const RECORD_BYTES = 100;

const bytesOf = ({ key, value, headers }: Appended): number => {
	let bytes = RECORD_BYTES + key.length * 3 + value.length;
	for (const [name, text] of Object.entries(headers ?? {})) bytes += (name.length + text.length) * 3 + 10;
	return bytes;
};
/** @throws RangeError for a record that Kafka would never take. */
export function messageOf(record: Appended): Message {
	const bytes = bytesOf(record);
	if (bytes > limits.kafka_record_bytes_max) throw new RangeError(`Cannot append a record of ${bytes} bytes: ${limits.kafka_record_bytes_max} is the most`);
	if (!Number.isSafeInteger(record.timestamp)) throw new RangeError(`Cannot append a record of ${record.timestamp}: wanted are whole milliseconds`);
	return { partition: record.partition, key: record.key, value: Buffer.from(record.value), ...(record.headers ? { headers: record.headers } : {}) };
}

interface Waiting {
	messages: Message[];
	bytes: number;
	before: number;
	resolve: () => void;
	reject: (error: LogUnavailable) => void;
}

/** A partition's sends, one after another. */
interface Lane {
	queue: Waiting[];
	pumping: Promise<void> | undefined;
}

/** A producer and how many sends are under way by it. */
interface Sender {
	producer: Promise<Producer>;
	sends: number;
}

export interface KafkaProducer {
	/** In order, after what was sent to this partition before. Resolves when every in-sync replica has them. @throws LogUnavailable */
	send(topic: Topic, partition: number, records: { messages: Message[]; bytes: number; before: number }): Promise<void>;
	/** Waits for what is under way. */
	close(): Promise<void>;
}
export const sizeOf = (records: readonly Appended[]): number => records.reduce((sum, record) => sum + bytesOf(record), 0);

/**
 * Idempotent, acknowledged by all in-sync replicas. One partition a send: kafkajs resolves a send over several although a partition whose leader died in
 * it was never written. One send a partition at a time; what waits meanwhile goes with the next, split by bytes.
 *
 * A send that failed may have been written: its sequence number is in doubt. Would the next batch take the same number, the broker would hold it for a
 * repetition and drop it without an error. So a producer that failed is not used again: the next send goes by a new one, with numbers of its own.
 */
export function kafkaProducer(kafka: Kafka): KafkaProducer {
	const lanes = new Map<string, Lane>();
	let current: Sender | undefined;
	const ending = new Set<Promise<void>>();

	async function connect(): Promise<Producer> {
		const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 5, allowAutoTopicCreation: false });
		await producer.connect();
		return producer;
	}
	function end({ producer }: Sender): void {
		const ended = producer.then((connected) => connected.disconnect()).catch(() => undefined);
		ending.add(ended);
		void ended.then(() => ending.delete(ended));
	}

	async function sendOnce(topic: Topic, partition: number, batch: readonly Waiting[]): Promise<void> {
		current ??= { producer: connect(), sends: 0 };
		const by = current;
		by.sends += 1;
		try {
			const producer = await by.producer;
			const result = await producer.send({ topic, acks: -1, messages: batch.flatMap(({ messages }) => messages) });
			const covered = result.find((one) => one.topicName === topic && one.partition === partition);
			if (covered?.errorCode !== 0) throw new Error(`the answer does not cover partition ${partition}`);
		} catch (error) {
			if (current === by) current = undefined;
			throw new LogUnavailable(`Kafka did not take records of ${topic}/${partition}: ${(error as Error).message}`);
		} finally {
			by.sends -= 1;
			if (current !== by && by.sends === 0) end(by); // sends to other partitions were still under way by it
		}
	}

	async function pump(topic: Topic, partition: number, lane: Lane): Promise<void> {
		await undefined; // so that `pumping` is set before anything is done
		while (lane.queue.length > 0) {
			const batch: Waiting[] = [];
			let bytes = 0;
			const now = Date.now();
			while (lane.queue[0] && (batch.length === 0 || bytes + lane.queue[0].bytes <= limits.kafka_send_bytes_max)) {
				const next = lane.queue.shift()!;
				if (now > next.before) next.reject(new LogUnavailable('The records were not written in time'));
				else {
					batch.push(next);
					bytes += next.bytes;
				}
			}
			if (batch.length === 0) continue;
			try {
				await sendOnce(topic, partition, batch);
				for (const { resolve } of batch) resolve();
			} catch (error) {
				for (const { reject } of batch) reject(error as LogUnavailable);
			}
		}
		lane.pumping = undefined; // in the turn that found the queue empty: nobody waits for a pump that has ended
	}

	return {
		send(topic, partition, records) {
			const key = `${topic}/${partition}`;
			const lane: Lane = lanes.get(key) ?? { queue: [], pumping: undefined };
			lanes.set(key, lane);
			return new Promise((resolve, reject) => {
				lane.queue.push({ ...records, resolve, reject });
				lane.pumping ??= pump(topic, partition, lane);
			});
		},
		async close() {
			await Promise.all([...lanes.values()].map(({ pumping }) => pumping));
			if (current) end(current);
			await Promise.all(ending);
		},
	};
}
