import type { Admin, Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import { limits } from '#schemas/limits.ts';
import type { Topic } from '#schemas/topic.ts';
import { copartitionAssigner } from './copartition-assigner.ts';
import { LogUnavailable, PositionLost, type ReadLimits, type StoredRecord } from './event-log.ts';
import type { Ends, KafkaEnds } from './kafka-ends.ts';
import { type Member, NotOwner } from './member.ts';

/** Consumers wait an outage out: with a bound on retries they would end for good. */
const RETRY = { initialRetryTime: 100, maxRetryTime: 1000, retries: Number.MAX_SAFE_INTEGER };

/** A partition that this member reads: what came and was not yet taken. */
interface Lane {
	topic: Topic;
	partition: number;
	/** In order, without a gap. */
	buffer: StoredRecord[];
	at: number;
	bytes: number;
	/** The offset after the buffer's last; undefined until somebody reads. */
	next: number | undefined;
	paused: boolean;
	/** Why nothing will come: what is wanted is no longer there. */
	lost: string | undefined;
	wake: (() => void) | undefined;
	/** Ends the wait for room in the buffer: whether there is some. */
	roomy: ((room: boolean) => void) | undefined;
}

const isFull = ({ buffer, at, bytes }: Lane): boolean => buffer.length - at >= limits.kafka_buffer_records_max || bytes >= limits.kafka_buffer_bytes_max;

/**
 * A member of a Kafka consumer group, read by pulling: batches that come are kept, a little ahead of the reader, in a bounded buffer a partition; one that is
 * full holds the client up while its reader is at work, else it is paused. Offsets are checked one by one, so neither a batch from before a seek nor a jump of
 * the client is ever taken for what was asked. A session that expired unseen is harmless here: nothing is committed by the group that is not fenced elsewhere
 * or stored once by its id.
 */
export async function joinKafka(options: {
	kafka: Kafka;
	admin: Admin;
	group: string;
	topics: readonly Topic[];
	ends: KafkaEnds;
	onArrival: () => void;
	onTrouble: (text: string) => void;
}): Promise<Member> {
	const { kafka, admin, group, topics, ends, onArrival, onTrouble } = options;
	const lanes = new Map<string, Lane>();
	const endsNow = async (topic: Topic, partition: number): Promise<Ends> => (await ends.now(topic))[partition] ?? { low: 0, high: 0 };
	const listeners = new Set<() => void>();
	let owned: number[] = [];
	let consumer: Consumer;
	let leaving = false;

	const at = ({ topic, partition }: Lane) => ({ topic, partitions: [partition] });
	function clear(lane: Lane): void {
		lane.buffer = [];
		lane.at = 0;
		lane.bytes = 0;
		lane.roomy?.(true);
	}
	function resume(lane: Lane): void {
		if (!lane.paused) return;
		lane.paused = false;
		consumer.resume([at(lane)]);
	}
	function pause(lane: Lane): void {
		if (lane.paused) return;
		lane.paused = true;
		consumer.pause([at(lane)]);
	}
	const seek = (lane: Lane) => consumer.seek({ topic: lane.topic, partition: lane.partition, offset: String(lane.next) });

	/** The group has given out its partitions: at the start, and whenever members come or go. */
	function assigned(assignment: Record<string, number[]>): void {
		owned = [...new Set(Object.values(assignment).flat())].sort((a, b) => a - b);
		for (const topic of topics)
			for (const partition of owned) {
				const key = `${topic}/${partition}`;
				const lane = lanes.get(key);
				// The client begins again where the group last committed: what was read on from here is what is wanted.
				if (lane?.next !== undefined) seek(lane);
				if (lane) continue;
				lanes.set(key, { topic, partition, buffer: [], at: 0, bytes: 0, next: undefined, paused: false, lost: undefined, wake: undefined, roomy: undefined });
				consumer.resume([{ topic, partitions: [partition] }]); // the client remembers a pause of when it was owned before
			}
		for (const [key, lane] of lanes)
			if (!owned.includes(lane.partition)) {
				lanes.delete(key);
				lane.wake?.();
				lane.roomy?.(true);
			}
		for (const listener of listeners) listener();
	}

	async function eachBatch({ batch, isStale }: EachBatchPayload): Promise<void> {
		const lane = lanes.get(`${batch.topic}/${batch.partition}`);
		if (!lane || isStale()) return;
		if (lane.next === undefined) return pause(lane); // nobody reads it yet
		const { messages } = batch;
		// Offsets grow: when first and last are as far apart as there are messages, they are counted, not read.
		const start = Number(messages[0]?.offset);
		const whole = Number(messages.at(-1)?.offset) === start + messages.length - 1;
		for (let index = 0; index < messages.length; index++) {
			const { offset: text, key, value, headers, timestamp } = messages[index]!;
			const offset = whole ? start + index : Number(text);
			if (offset < lane.next) continue;
			if (offset > lane.next) return gap(lane, offset);
			lane.buffer.push({
				offset,
				key: key?.toString() ?? '',
				value: value ?? new Uint8Array(),
				timestamp: Number(timestamp),
				headers:
					headers && Object.keys(headers).length > 0
						? Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, String(text ?? '')]))
						: undefined,
				corrupt: false, // the broker checks
			});
			lane.bytes += value?.length ?? 0;
			lane.next = offset + 1;
		}
		lane.wake?.();
		onArrival();
		// The client asks for more when this returns. A reader at work makes room before a pause and its end would be heard; one that does not come leaves the
		// client to the others.
		if (isFull(lane) && !(await room(lane)) && isFull(lane)) pause(lane);
	}
	function room(lane: Lane): Promise<boolean> {
		return new Promise((resolve) => {
			const timer = setTimeout(() => lane.roomy?.(false), limits.kafka_room_wait_ms);
			lane.roomy = (found) => {
				clearTimeout(timer);
				lane.roomy = undefined;
				resolve(found);
			};
		});
	}

	/** Records are missing before those that came: read before a seek took hold, or gone. */
	async function gap(lane: Lane, came: number): Promise<void> {
		const wanted = lane.next!;
		const { low } = await endsNow(lane.topic, lane.partition);
		if (low > wanted) {
			lane.lost = `Offset ${wanted} of ${lane.topic}/${lane.partition} is gone: the log begins at ${low}, records came from ${came} on`;
			lane.wake?.();
		} else seek(lane);
	}

	async function build(): Promise<void> {
		consumer = kafka.consumer({
			groupId: group,
			partitionAssigners: [copartitionAssigner(() => owned)],
			allowAutoTopicCreation: false,
			sessionTimeout: limits.kafka_session_ms,
			heartbeatInterval: limits.kafka_heartbeat_ms,
			rebalanceTimeout: 2 * limits.kafka_session_ms,
			maxWaitTimeInMs: limits.kafka_poll_ms,
			maxBytesPerPartition: limits.kafka_fetch_bytes_max,
			retry: RETRY,
		});
		const mine = consumer;
		const joined = new Promise<void>((resolve) => {
			mine.on(mine.events.GROUP_JOIN, ({ payload }) => {
				if (mine !== consumer) return;
				assigned(payload.memberAssignment as Record<string, number[]>);
				resolve();
			});
		});
		mine.on(mine.events.CRASH, ({ payload }) => {
			if (payload.restart || leaving || mine !== consumer) return;
			// For good: the client does not come back by itself.
			onTrouble(`The consumer of ${group} ended and is built anew: ${payload.error.message}`);
			setTimeout(() => void rebuild(), limits.kafka_rebuild_ms);
		});
		await mine.connect();
		await mine.subscribe({ topics: [...topics], fromBeginning: true });
		await mine.run({ autoCommit: false, partitionsConsumedConcurrently: 4, eachBatch });
		await joined;
	}
	async function rebuild(): Promise<void> {
		if (leaving) return;
		const old = consumer;
		try {
			for (const lane of lanes.values()) lane.paused = false;
			await build();
		} catch (error) {
			onTrouble(`The consumer of ${group} cannot be built: ${(error as Error).message}`);
			setTimeout(() => void rebuild(), limits.kafka_rebuild_ms);
		}
		await old.disconnect().catch(() => undefined);
	}
	await build().catch((error) => {
		throw new LogUnavailable(`Cannot join ${group}: ${(error as Error).message}`);
	});

	function laneOf(topic: Topic, partition: number): Lane {
		const lane = lanes.get(`${topic}/${partition}`);
		if (!lane) throw new NotOwner(`${topic}/${partition} belongs to another member of ${group}`);
		return lane;
	}
	function arrival(lane: Lane): Promise<boolean> {
		// What it waits for comes with the client's next question: no other partition may hold that up.
		for (const other of lanes.values()) other.roomy?.(false);
		return new Promise((resolve) => {
			const timer = setTimeout(() => resolve(false), limits.kafka_read_wait_ms);
			lane.wake = () => {
				clearTimeout(timer);
				lane.wake = undefined;
				resolve(true);
			};
		});
	}
	function take(lane: Lane, { records_max, bytes_max }: ReadLimits): StoredRecord[] {
		const from = lane.at;
		let bytes = 0;
		while (lane.at < lane.buffer.length && lane.at - from < records_max) {
			const { length } = lane.buffer[lane.at]!.value;
			if (lane.at > from && bytes + length > bytes_max) break;
			bytes += length;
			lane.at += 1;
		}
		const taken = lane.buffer.slice(from, lane.at);
		lane.bytes -= bytes;
		if (lane.at === lane.buffer.length) clear(lane);
		else if (lane.at > limits.kafka_buffer_records_max) {
			lane.buffer = lane.buffer.slice(lane.at);
			lane.at = 0;
		}
		if (lane.buffer.length - lane.at < limits.kafka_buffer_records_max / 2 && lane.bytes < limits.kafka_buffer_bytes_max / 2) {
			lane.roomy?.(true);
			resume(lane);
		}
		return taken;
	}

	return {
		partitions: () => owned,
		onChange(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		async read(topic, partition, { offset, ...most }) {
			const lane = laneOf(topic, partition);
			const first = lane.buffer[lane.at]?.offset ?? lane.next;
			if (first !== offset) {
				const { low, high } = await endsNow(topic, partition);
				if (offset < low || offset > high) throw new PositionLost(`Offset ${offset} of ${topic}/${partition} is not in the log: it has ${low} to ${high}`);
				clear(lane);
				lane.lost = undefined;
				lane.next = offset;
				seek(lane);
				resume(lane);
			}
			if (lane.at === lane.buffer.length) {
				if (lane.lost) throw new PositionLost(lane.lost);
				// What came after the last answer is told by its arrival: an idle partition costs no question here.
				const last = ends.last(topic)?.[partition];
				if (last?.high === offset) return [];
				const { low, high } = last && last.high > offset ? last : await endsNow(topic, partition);
				if (offset < low || offset > high) throw new PositionLost(`Offset ${offset} of ${topic}/${partition} is not in the log: it has ${low} to ${high}`);
				if (lane.at === lane.buffer.length && offset < high && !(await arrival(lane)))
					throw new LogUnavailable(`Kafka does not hand over ${topic}/${partition} from ${offset} on`);
				if (lane.lost) throw new PositionLost(lane.lost);
				laneOf(topic, partition);
			}
			return take(lane, most);
		},
		async position(topic, partition) {
			try {
				const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
				const offset = Number(found?.partitions.find((one) => one.partition === partition)?.offset ?? -1);
				return offset >= 0 ? offset : (await endsNow(topic, partition)).low;
			} catch (error) {
				throw error instanceof LogUnavailable ? error : new LogUnavailable(`Kafka does not tell where ${group} stands: ${(error as Error).message}`);
			}
		},
		async commit(topic, partition, offset) {
			laneOf(topic, partition);
			try {
				await consumer.commitOffsets([{ topic, partition, offset: String(offset) }]);
			} catch (error) {
				throw new LogUnavailable(`Cannot commit ${topic}/${partition} of ${group}: ${(error as Error).message}`);
			}
		},
		async leave() {
			leaving = true;
			for (const lane of lanes.values()) {
				lane.wake?.();
				lane.roomy?.(true);
			}
			await consumer.disconnect().catch((error) => onTrouble(`The consumer of ${group} did not end well: ${(error as Error).message}`));
		},
	};
}
