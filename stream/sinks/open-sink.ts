import type { Topic } from '#schemas/topic.ts';
import { type Decoded, decode, Undecodable } from '../avro/codec.ts';
import type { EventLog } from '../log/event-log.ts';
import { openMover } from './mover.ts';
import type { Sink, SinkBatch } from './sink.ts';

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
