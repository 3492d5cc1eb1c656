import type { Topic } from '#schemas/topic.ts';

export interface LogRecord {
	/** The region, or what a side topic is keyed by. */
	key: string;
	value: Uint8Array;
	/** Milliseconds by the deployment clock; retention goes by it. */
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
	 * Appends all or nothing, in order. Durable when it resolves.
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
	/** Where a group stands in a partition: the offset of the next record that it wants; the start of the log before it committed any. */
	position(group: string, topic: Topic, partition: number): Promise<number>;
	/** @throws LogUnavailable */
	commit(group: string, topic: Topic, partition: number, offset: number): Promise<void>;
	/** Calls `listener` after every append until the answered function is called. */
	onAppend(listener: () => void): () => void;
	/** Forgets records whose retention has passed, from the oldest on. `now` by the deployment clock. Returns how many. */
	expire(now: number): Promise<number>;
	close(): Promise<void>;
}
