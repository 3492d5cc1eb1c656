import type { KafkaPlace } from '#control-plane/kafka-place.ts';
import { partitionsOf, type Topic, topics } from '#schemas/topic.ts';
import { type Appended, type EventLog, LogUnavailable } from './event-log.ts';
import { kafkaClient } from './kafka-client.ts';
import { kafkaEnds } from './kafka-ends.ts';
import { joinKafka } from './kafka-member.ts';
import { kafkaProducer, messageOf, sizeOf } from './kafka-producer.ts';
import { prepareTopics } from './kafka-topics.ts';
import type { Member } from './member.ts';

/** Why there is no connection. A user's name or mechanism is for a human to mend; what the broker says of it may be anything, so it is left out. */
function refusalOf(error: Error, { sasl }: KafkaPlace): string {
	for (let inner: unknown = error; inner instanceof Error; inner = inner.cause)
		if (sasl && inner.name === 'KafkaJSSASLAuthenticationError') return `does not let user "${sasl.username}" in by ${sasl.mechanism}`;
	return `does not answer: ${error.message}`;
}

/**
 * The log on a Kafka cluster, by kafkajs. Topics are made or checked at the start. An append over several partitions is one of each: what one of them has
 * stays when another fails, and the caller, who is told, sends all of it again; whoever reads counts an id once.
 * Records are stamped by the broker; retention is the broker's (expire() does nothing); stored bytes are checked by the broker.
 * @throws PartitionsDiffer; LogUnavailable when the cluster does not answer.
 */
export async function openKafkaLog(
	place: KafkaPlace,
	options: { partitions: number; client_id: string; onTrouble: (text: string) => void },
): Promise<EventLog> {
	const { partitions, client_id, onTrouble } = options;
	const kafka = kafkaClient(place, { clientId: client_id });
	const admin = kafka.admin();
	let identity: string;
	try {
		await admin.connect();
		identity = (await admin.describeCluster()).clusterId;
	} catch (error) {
		await admin.disconnect().catch(() => undefined);
		throw new LogUnavailable(`Kafka at ${place.brokers.join(', ')} ${refusalOf(error as Error, place)}`);
	}
	await prepareTopics(admin, { partitions, replication: place.replication }).catch(async (error) => {
		await admin.disconnect();
		throw error;
	});
	const ends = kafkaEnds(admin);
	const producer = kafkaProducer(kafka);
	const listeners = new Set<() => void>();
	const tell = () => {
		for (const listener of listeners) listener();
	};
	const members = new Set<Member>();
	let closed = false;

	const checked = (topic: Topic, partition: number): number => {
		if (!(partition >= 0 && partition < partitionsOf(topic, partitions)))
			throw new RangeError(`There is no partition ${topic}/${partition}: the log has ${partitions}`);
		return partition;
	};
	const endsOf = async (topic: Topic, partition: number) => (await ends.now(topic))[checked(topic, partition)] ?? { low: 0, high: 0 };

	let reader: Promise<Member> | undefined;
	async function joined(group: string, wanted: readonly Topic[]): Promise<Member> {
		const member = await joinKafka({ kafka, admin, group: `surgecast-${group}`, topics: wanted, ends, onArrival: tell, onTrouble });
		members.add(member);
		return member;
	}

	return {
		identity,
		partitions,
		async append(records, { before = Number.POSITIVE_INFINITY } = {}) {
			if (closed) throw new LogUnavailable('The log is closed');
			const lanes = new Map<string, Appended[]>();
			for (const record of records) {
				checked(record.topic, record.partition);
				const key = `${record.topic}/${record.partition}`;
				const lane = lanes.get(key);
				if (lane) lane.push(record);
				else lanes.set(key, [record]);
			}
			// All are made into messages before any is sent: a record that no log can take harms nothing.
			const sets = [...lanes.values()].map((own) => ({ own, messages: own.map(messageOf) }));
			const sent = sets.map(({ own: [first, ...rest], messages }) =>
				producer.send(first!.topic, first!.partition, { messages, bytes: sizeOf([first!, ...rest]), before }),
			);
			const results = await Promise.allSettled(sent);
			const failed = results.find((result) => result.status === 'rejected');
			for (const topic of new Set(records.map((record) => record.topic))) ends.moved(topic);
			if (sent.length > 0) tell();
			if (failed) throw failed.reason;
		},
		start: async (topic, partition) => (await endsOf(topic, partition)).low,
		end: async (topic, partition) => (await endsOf(topic, partition)).high,
		onAppend(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		expire: async () => 0,
		/** By a group of its own with one member, made when somebody first reads so. */
		async read(topic, partition, options) {
			reader ??= joined(`reader-${crypto.randomUUID()}`, topics).catch((error) => {
				reader = undefined; // the next reader tries again
				throw error;
			});
			return (await reader).read(topic, checked(topic, partition), options);
		},
		join: joined,
		async close() {
			if (closed) return;
			closed = true;
			await producer.close();
			await Promise.all([...members].map((member) => member.leave()));
			await admin.disconnect();
		},
	};
}
