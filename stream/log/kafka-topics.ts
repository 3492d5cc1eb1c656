import type { Admin, ITopicMetadata } from 'kafkajs';
import { limits } from '#schemas/limits.ts';
import { partitionsOf, retentionMs, type Topic, topics } from '#schemas/topic.ts';
import { PartitionsDiffer } from './partitions-differ.ts';

/**
 * The topics as the cluster has them. Those that another process has made a moment ago may still be without leaders, whose ends nobody tells: it waits for them,
 * but not for ever, since a leader may also be dead.
 */
async function foundTopics(admin: Admin): Promise<ITopicMetadata[]> {
	const deadline = Date.now() + limits.kafka_leaders_wait_ms;
	for (;;) {
		const { topics: found } = await admin.fetchTopicMetadata({ topics: [...topics] });
		const led = found.every(({ partitions }) => partitions.every(({ leader, partitionErrorCode }) => leader >= 0 && partitionErrorCode === 0));
		if (led || Date.now() > deadline) return found;
		await new Promise((resolve) => setTimeout(resolve, limits.kafka_ends_retry_ms));
	}
}

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
	const found = await foundTopics(admin);
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
