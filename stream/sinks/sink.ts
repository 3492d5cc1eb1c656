import type { Behind } from '#schemas/behind.ts';
import type { Topic } from '#schemas/topic.ts';
import type { Decoded } from '../avro/codec.ts';
import type { Lag } from './lag.ts';

/** A record of the log as a sink's store gets it. */
export interface SinkRecord<T = Decoded> {
	offset: number;
	timestamp: number;
	decoded: T;
}

/** Records of one partition, in order: those that can be read of the offsets from `from` to before `to`. */
export interface SinkBatch<T = Decoded> {
	topic: Topic;
	partition: number;
	from: number;
	to: number;
	records: SinkRecord<T>[];
}

export interface Sink {
	/** `moved`: records; `unreadable`: those that were named and skipped. */
	readonly counts: { moved: number; failures: number; unreadable: number };
	/** The partitions that it moves: fewer than all while other processes of its group have the rest. */
	partitions(): readonly number[];
	/** Null while all is well, else why records wait. */
	trouble(): string | null;
	lag(): Lag;
	/** What fails, or lags by more than limits.sink_behind_ms. */
	behind(): Behind[];
	start(): void;
	/** Resolves when everything that is in the log now is in the store, or after `wait_ms`: the rest waits in the log. */
	drain(wait_ms: number): Promise<void>;
	stop(): Promise<void>;
}
