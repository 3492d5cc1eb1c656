import type { Behind } from '#schemas/behind.ts';
import type { Topic } from '#schemas/topic.ts';
import { type Decoded, decode, Undecodable } from '../avro/codec.ts';
import type { EventLog } from '../log/event-log.ts';
import type { Lag } from './lag.ts';
import { openMover } from './mover.ts';

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

/**
 * Decoded records of the log into a store, a partition at a time: `openMover` for stores that take a batch in one transaction.
 * @param options.kinds that belong into these topics.
 * @param options.write resolves when the batch is durable in the store. It may answer an offset up to which that holds, where it keeps a part back: a restart
 * reads again from there. After a failure, or when partitions were given out anew, a batch may overlap earlier ones.
 */
export async function openSink(options: {
	log: EventLog;
	group: string;
	topics: readonly Topic[];
	kinds: readonly Decoded['kind'][];
	what: string;
	write: (batch: SinkBatch) => Promise<number | undefined>;
	onTrouble?: ((text: string) => void) | undefined;
	retry_ms?: number | undefined;
}): Promise<Sink> {
	const { kinds, write, ...rest } = options;
	return openMover({
		...rest,
		decode({ value }) {
			const decoded = decode(value);
			if (!kinds.includes(decoded.kind)) throw new Undecodable(`a ${decoded.kind} does not belong here`);
			return decoded;
		},
		write: ([batch]) => write(batch!).then((durable) => [durable]),
	});
}
