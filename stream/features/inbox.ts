import type { Event } from '#schemas/event.ts';
import { limits } from '#schemas/limits.ts';
import { type EventTopic, eventTopics } from '#schemas/topic.ts';
import { decode, Undecodable } from '../avro/codec.ts';
import type { EventLog, ReadLimits, StoredRecord } from '../log/event-log.ts';

/** A stored record is not what was written: nothing of its partition is folded beyond it until it reads well again (another disk, a backup). */
export class CorruptRecord extends Error {}

/** A record of an event topic, and what is to be done with it. */
export interface Read {
	topic: EventTopic;
	record: StoredRecord;
	/** The greatest ingested_at of its topic up to here: records are folded in this order. */
	stamp: number;
	event: Event | undefined;
	/** The city's clock, if the record is a tick. */
	tick: number | undefined;
	/** Where it goes instead of a window, and why. */
	aside: { to: 'late-events' | 'dead-letter'; reason: string } | undefined;
}

/**
 * The three event topics of a partition as one stream in the order of their stamps. The order, and what is judged late, depend on the log alone:
 * never on how many records a reading brought.
 */
export interface Inbox {
	/**
	 * Reads on where there is room. `onEvent` sees every event that came.
	 * @throws CorruptRecord when nothing is left before a record that fails its checksum; it is read again by the next call.
	 */
	fill(onEvent: (event: Event) => void): Promise<void>;
	/** The next record, or undefined until fill() has brought more of a topic that has more. */
	peek(): Read | undefined;
	/** Takes away what peek() showed. */
	drop(): void;
	/** Whether fill() came to the ends of all topics and all of it was taken away. */
	readonly atEnd: boolean;
	/** No record that is still to come has a lesser stamp. `now`: the deployment clock before the last fill(). */
	least(now: number): number;
}

export function openInbox(options: {
	log: EventLog;
	number: number;
	lateness_ms: number;
	read: ReadLimits;
	/** Next offset wanted and greatest stamp before it, by topic. */
	from: { positions: Record<EventTopic, number>; stamps: Record<EventTopic, number> };
}): Inbox {
	const { log, number, lateness_ms } = options;
	const lanes = eventTopics.map((topic) => ({
		topic,
		next: options.from.positions[topic],
		stamp: options.from.stamps[topic],
		buffer: [] as Read[],
		at: 0,
		/** As last heard: it only grows. */
		end: 0,
		complete: false,
	}));
	let shown: (typeof lanes)[number] | undefined;

	function judge(topic: EventTopic, record: StoredRecord, before: number): Read {
		const read: Read = { topic, record, stamp: before, event: undefined, tick: undefined, aside: undefined };
		if (record.value.length > limits.log_record_bytes_max) return deadLetter(read, `${record.value.length} bytes are more than a record may have`);
		try {
			const decoded = decode(record.value);
			if (decoded.kind === 'tick') {
				read.stamp = Math.max(before, decoded.now);
				read.tick = decoded.now;
				return read;
			}
			if (decoded.kind !== 'event') return deadLetter(read, `a ${decoded.kind} does not belong on ${topic}`);
			const { event } = decoded;
			const { ingested_at, timestamp } = event;
			read.stamp = Math.max(before, ingested_at);
			if (ingested_at < before - limits.stamp_to_append_ms_max) return late(read, `stamped ${before - ingested_at} ms before a record ahead of it`);
			if (ingested_at - timestamp > lateness_ms) return late(read, `${ingested_at - timestamp} ms late`);
			if (timestamp - ingested_at > limits.future_ms_max) return deadLetter(read, `${timestamp - ingested_at} ms ahead of its ingestion`);
			read.event = event;
			return read;
		} catch (error) {
			if (!(error instanceof Undecodable)) throw error;
			return deadLetter(read, error.message);
		}
	}

	return {
		async fill(onEvent) {
			const read: typeof lanes = [];
			let corrupt: string | undefined;
			for (const lane of lanes) {
				lane.complete = false;
				if (lane.buffer.length - lane.at >= options.read.records_max) continue;
				read.push(lane);
				const records = await log.read(lane.topic, number, { ...options.read, offset: lane.next });
				if (lane.at > 0) {
					lane.buffer = lane.buffer.slice(lane.at);
					lane.at = 0;
				}
				for (const record of records) {
					if (record.corrupt) break; // what lies before it is good
					const judged = judge(lane.topic, record, lane.stamp);
					lane.stamp = judged.stamp;
					if (judged.event) onEvent(judged.event);
					lane.buffer.push(judged);
					lane.next += 1;
				}
				if (lane.buffer.length === 0 && records.length > 0) corrupt ??= `${lane.topic}/${number}@${lane.next}`;
			}
			// Side by side: where the log is not in this process each end is a question, so none is asked before what was last heard is reached.
			await Promise.all(
				read.map(async (lane) => {
					if (lane.next >= lane.end) lane.end = await log.end(lane.topic, number);
					lane.complete = lane.next >= lane.end;
				}),
			);
			if (corrupt !== undefined) throw new CorruptRecord(`record ${corrupt} of the log fails its checksum`);
		},
		peek() {
			let least: Read | undefined;
			shown = undefined;
			for (const lane of lanes) {
				const head = lane.buffer[lane.at];
				if (!head) {
					if (!lane.complete) return undefined; // what comes there may be earlier
				} else if (least === undefined || head.stamp < least.stamp) {
					least = head;
					shown = lane;
				}
			}
			return least;
		},
		drop() {
			if (shown) shown.at += 1;
			shown = undefined;
		},
		get atEnd() {
			return lanes.every((lane) => lane.complete && lane.at === lane.buffer.length);
		},
		least(now) {
			const of = ({ buffer, at, complete, stamp }: (typeof lanes)[number]) =>
				buffer[at]?.stamp ?? (complete ? Math.max(stamp, now - limits.stamp_to_append_ms_max) : stamp);
			return Math.min(...lanes.map(of));
		},
	};
}

function late(read: Read, reason: string): Read {
	read.aside = { to: 'late-events', reason };
	return read;
}
function deadLetter(read: Read, reason: string): Read {
	read.aside = { to: 'dead-letter', reason };
	return read;
}
