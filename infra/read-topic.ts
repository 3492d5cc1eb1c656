import type { Topic } from '#schemas/topic.ts';
import type { EventLog, StoredRecord } from '#stream/log/event-log.ts';

const READ = { records_max: 10_000, bytes_max: 16 * 1024 * 1024 };

/** What a partition of a topic has now, in order. */
export async function* readTopic(log: EventLog, topic: Topic, partition: number): AsyncGenerator<StoredRecord> {
	const end = await log.end(topic, partition);
	for (let offset = await log.start(topic, partition); offset < end; ) {
		const portion = await log.read(topic, partition, { ...READ, offset });
		yield* portion;
		offset += portion.length;
	}
}
