import type { Topic } from '#schemas/topic.ts';
import type { Member } from './member.ts';

export interface LogRecord {
	/** The region, or what a side topic is keyed by. */
	key: string;
	value: Uint8Array;
	/** Milliseconds by the deployment clock; retention goes by it. Where a broker stamps what it takes, a record is read back with the broker's. */
	timestamp: number;
	headers?: Record<string, string> | undefined;
}
export interface Appended extends LogRecord {
	topic: Topic;
	partition: number;
}
export interface StoredRecord extends LogRecord {
	offset: number;
	/** The stored bytes do not have the checksum they were written with: they must not be used. */
	corrupt: boolean;
}

export interface ReadLimits {
	records_max: number;
	bytes_max: number;
}

/** The log is full, locked or gone: nothing was appended, the caller may try later. */
export class LogUnavailable extends Error {}
/** The position asked for is no longer in the log, or never was: the reader must stop, never jump. */
export class PositionLost extends Error {}

/**
 * The river of events: topics of partitions of records with growing offsets. One contract (event-log.contract.ts) for every driver.
 */
export interface EventLog {
	/** Changes when the log is made anew: whoever has state from another log must raise its epoch. */
	readonly identity: string;
	/** Of the keyed topics; side topics have one. */
	readonly partitions: number;
	/**
	 * Appends in order, durable when it resolves. All or nothing in a partition; over several, a log of many machines may keep those of one when another
	 * fails: the caller, who is told, sends all again, and readers count an id once.
	 * @param options.before wall clock, milliseconds: what could not be written by then is refused instead (the process slept, the log was locked).
	 * @throws LogUnavailable; RangeError for a record that no log could take (no such partition), which harms no other caller.
	 */
	append(records: readonly Appended[], options?: { before?: number }): Promise<void>;
	/** Records from `offset` on, in order, up to the limits (one at least if there is any). @throws PositionLost, LogUnavailable */
	read(topic: Topic, partition: number, options: ReadLimits & { offset: number }): Promise<StoredRecord[]>;
	/** The offset of the oldest record that is kept; `end` where there is none. */
	start(topic: Topic, partition: number): Promise<number>;
	/** The offset that the next record of a partition will get. */
	end(topic: Topic, partition: number): Promise<number>;
	/** Becomes a member of a group that shares the partitions of these topics. @throws LogUnavailable */
	join(group: string, topics: readonly Topic[]): Promise<Member>;
	/** Calls `listener` after every append until the answered function is called. */
	onAppend(listener: () => void): () => void;
	/** Forgets records whose retention has passed, from the oldest on. `now` by the deployment clock. Returns how many. */
	expire(now: number): Promise<number>;
	close(): Promise<void>;
}
