import { partitionsOf, type Topic } from '#schemas/topic.ts';
import type { EventLog } from '#stream/log/event-log.ts';
import { type SinkGroup, sinkGroups } from '#stream/sinks/sink-groups.ts';

/** A position that the log does not hold: before its start, or behind its end where the log is younger than the position. */
export interface LostPosition {
	topic: Topic;
	partition: number;
	position: number;
	/** Where the log begins: there the group would go on. */
	start: number;
	end: number;
}

/**
 * The positions at which a sink's group stops, since the log no longer has what it wants there. With `move` it goes on from the oldest record that is kept, at
 * its next start: what lies between never comes into that store. From behind the end it goes back to the start, and stores have each record once all the same.
 * @throws Error while processes of the group run.
 */
export async function skipLost(log: EventLog, group: SinkGroup, { move }: { move: boolean }): Promise<LostPosition[]> {
	const topics: readonly Topic[] = sinkGroups[group];
	const places = topics.flatMap((topic) => Array.from({ length: partitionsOf(topic, log.partitions) }, (_, partition) => ({ topic, partition })));
	const member = await log.join(group, topics);
	try {
		const others = places.filter(({ partition }) => !member.partitions().includes(partition));
		if (others.length > 0) throw new Error(`Cannot look at ${group}: other processes of it run; stop them first`);
		const lost: LostPosition[] = [];
		for (const { topic, partition } of places) {
			const [position, start, end] = await Promise.all([member.position(topic, partition), log.start(topic, partition), log.end(topic, partition)]);
			if (position < start || position > end) lost.push({ topic, partition, position, start, end });
		}
		if (move) for (const { topic, partition, start } of lost) await member.commit(topic, partition, start);
		return lost;
	} finally {
		await member.leave();
	}
}
