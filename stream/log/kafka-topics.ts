import type { Admin } from 'kafkajs';
import { limits } from '#schemas/limits.ts';
import { keyedTopics, retentionMs, type Topic, topics } from '#schemas/topic.ts';
import { PartitionsDiffer } from './partitions-differ.ts';

/** Partitions that a topic must have. */
export const partitionsOf = (topic: Topic, keyed: number): number => ((keyedTopics as readonly Topic[]).includes(topic) ? keyed : 1);

/**
 * Topics as code: makes those that are missing and checks the others. Records are stamped by the broker, so that retention counts from when they were
 * appended, whatever clock the deployment has.
 * @throws PartitionsDiffer when a topic has another number of partitions than it must have.
 */
export async function prepareTopics(admin: Admin, { partitions, replication }: { partitions: number; replication: number }): Promise<void> {
	const there = new Set(await admin.listTopics()); // createTopics of one that is there would log an error
	const missing = topics.filter((topic) => !there.has(topic));
	if (missing.length > 0)
		await admin.createTopics({
			waitForLeaders: true,
			topics: missing.map((topic) => ({
				topic,
				numPartitions: partitionsOf(topic, partitions),
				replicationFactor: replication,
				configEntries: [
					{ name: 'retention.ms', value: String(retentionMs[topic]) },
					{ name: 'cleanup.policy', value: 'delete' },
					{ name: 'message.timestamp.type', value: 'LogAppendTime' },
					{ name: 'max.message.bytes', value: String(limits.kafka_record_bytes_max) },
					{ name: 'min.insync.replicas', value: String(Math.max(1, replication - 1)) },
				],
			})),
		});
	const { topics: found } = await admin.fetchTopicMetadata({ topics: [...topics] });
	for (const { name, partitions: own } of found) {
		const wanted = partitionsOf(name as Topic, partitions);
		if (own.length !== wanted)
			throw new PartitionsDiffer(
				wanted === 1
					? `Cannot use topic ${name}: it has ${own.length} partitions, wanted is 1`
					: `Cannot open the log with PARTITIONS=${partitions}: topic ${name} was made with ${own.length}, which is fixed from then on`,
			);
	}
}
