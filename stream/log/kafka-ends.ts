import type { Admin } from 'kafkajs';
import { limits } from '#schemas/limits.ts';
import type { Topic } from '#schemas/topic.ts';
import { LogUnavailable } from './event-log.ts';

/** Of a partition: the offset of the oldest record, and the one that the next record will get. */
export interface Ends {
	low: number;
	high: number;
}

export interface KafkaEnds {
	/** As they are after the call: one question to the cluster for all that ask meanwhile. @throws LogUnavailable */
	now(topic: Topic): Promise<Ends[]>;
	/** As the last question was answered, unless something was appended here since; undefined before any. */
	last(topic: Topic): Ends[] | undefined;
	/** Something was appended: what was heard, or is being asked, is old. */
	moved(topic: Topic): void;
}

/** The ends of the topics' partitions, by asking: kafkajs says nothing of an idle partition, and every look at one wants to know that it is read to its end. */
export function kafkaEnds(admin: Admin): KafkaEnds {
	const heard = new Map<Topic, Ends[]>();
	const moves = new Map<Topic, number>();
	interface Asked {
		running: Promise<Ends[]>;
		/** Of those who came while it ran: a question of their own, one for all of them. */
		next: Promise<Ends[]> | undefined;
	}
	const asked = new Map<Topic, Asked>();

	async function ask(topic: Topic, tries: number = limits.kafka_ends_tries): Promise<Ends[]> {
		const move = moves.get(topic);
		try {
			const found = await admin.fetchTopicOffsets(topic);
			const ends: Ends[] = [];
			for (const { partition, low, high } of found) ends[partition] = { low: Number(low), high: Number(high) };
			if (moves.get(topic) === move) heard.set(topic, ends);
			return ends;
		} catch (error) {
			// A leader that has just changed, a topic that has just been made: the client does not try this question again by itself.
			if (tries > 1 && (error as { retriable?: boolean }).retriable) {
				await new Promise((resolve) => setTimeout(resolve, limits.kafka_ends_retry_ms));
				return ask(topic, tries - 1);
			}
			throw new LogUnavailable(`Kafka does not tell the ends of ${topic}: ${(error as Error).message}`);
		}
	}
	function begin(topic: Topic): Promise<Ends[]> {
		const running = ask(topic);
		const own: Asked = { running, next: undefined };
		asked.set(topic, own);
		const done = () => {
			if (asked.get(topic) === own) asked.delete(topic);
		};
		running.then(done, done);
		return running;
	}
	return {
		now(topic) {
			const under = asked.get(topic);
			if (!under) return begin(topic);
			under.next ??= under.running.then(
				() => begin(topic),
				() => begin(topic),
			);
			return under.next;
		},
		last: (topic) => heard.get(topic),
		moved(topic) {
			moves.set(topic, (moves.get(topic) ?? 0) + 1);
			heard.delete(topic);
		},
	};
}
