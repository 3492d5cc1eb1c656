import { FEATURE_SET, featureNames } from '#schemas/feature.ts';
import { limits } from '#schemas/limits.ts';
import { causeOf } from '../cause-of.ts';
import type { EventLog } from '../log/event-log.ts';
import { openSink } from '../sinks/open-sink.ts';
import type { Sink, SinkBatch, SinkRecord } from '../sinks/sink.ts';
import { type SinkGroup, sinkGroups } from '../sinks/sink-groups.ts';
import type { FileStore } from './file-store.ts';
import { finalsKey } from './finals-key.ts';
import { FinalsPart } from './finals-part.ts';

const GROUP: SinkGroup = 'offline-store';

export interface OfflineSink extends Sink {
	/** `finals`: new ones; `repeated`: those that were there; `files`: whole ones written; `refused`: finals that no file can hold, named and skipped. */
	readonly counts: Sink['counts'] & { readonly finals: number; readonly repeated: number; readonly files: number; readonly refused: number };
}

/** What is held of a partition: all that was read of the offsets from `from` to before `to` and is in no whole file. */
interface Held {
	from: number;
	to: number;
	part: FinalsPart | undefined;
}

/**
 * Final features out of topic demand-signals into files of an hour a partition (finals-key.ts). A file is written whole when the first final of a later hour
 * comes, and only then the group's position moves past it, to that final; so a restart reads an unfinished hour again and writes the same file with the same
 * bytes. A final of before the part that is open is a repeat: a partition's finals come by their minutes, and a minute's are complete before the next one's.
 * What there is of an unfinished hour is written beside it, under a name that readers take only while the whole file is not there: at a stop, and every
 * `partial_ms`. So a process that lost its partition, and does not know it, can harm nothing.
 * @param options.now the wall clock, milliseconds.
 */
export async function openOfflineSink(options: {
	log: EventLog;
	store: FileStore;
	onTrouble?: (text: string) => void;
	retry_ms?: number;
	partial_ms?: number;
	part_rows?: number;
	now?: () => number;
}): Promise<OfflineSink> {
	const { log, store, onTrouble = () => undefined, retry_ms, partial_ms = limits.offline_partial_ms, part_rows: rows_max, now = Date.now } = options;
	const partitions = new Map<number, Held>();

	async function writeWhole(partition: number, part: FinalsPart): Promise<void> {
		await store.write(finalsKey({ begins: part.begins, partition, partial: false }), await part.toParquet(partition));
		counts.files += 1;
		await store.remove(finalsKey({ begins: part.begins, partition, partial: true }));
	}

	async function writePartial(partition: number, part: FinalsPart): Promise<void> {
		await store.write(finalsKey({ begins: part.begins, partition, partial: true }), await part.toParquet(partition));
		part.unwrittenSince = undefined;
	}

	/** Why no file can hold a final; null for a good one. */
	function fault({ decoded }: SinkRecord): string | null {
		if (decoded.kind !== 'signal') return `a ${decoded.kind}`;
		const { feature_set, values, as_of } = decoded.signal;
		if (feature_set !== FEATURE_SET || values.length !== featureNames.length) return `of feature set "${feature_set}" with ${values.length} values`;
		if (!(Number.isSafeInteger(as_of) && as_of >= 0)) return `as of ${as_of}`;
		// One from ahead of the wall clock, which no deployment clock passes, would make repeats of all that follow.
		return as_of > now() + limits.offline_ahead_ms ? `as of ${as_of}, ahead of the clock` : null;
	}

	async function write({ topic, partition, from, to, records }: SinkBatch): Promise<number> {
		let held = partitions.get(partition);
		// After a failure a batch comes again. One that leaves a gap, or goes back: the partition was somebody else's in between, and is read anew.
		if (!held || from < held.from || from > held.to) {
			held = { from, to: from, part: undefined };
			partitions.set(partition, held);
		}
		for (const record of records) {
			const { decoded, offset } = record;
			if (decoded.kind !== 'signal' || decoded.signal.kind !== 'final') continue;
			const why = fault(record);
			if (why !== null) {
				if (offset >= held.to) {
					counts.refused += 1;
					onTrouble(`Final ${topic}/${partition}/${offset} is not kept: ${why}`);
				}
				continue;
			}
			const { signal } = decoded;
			if (held.part?.isBefore(signal.as_of, { rows_max })) {
				await writeWhole(partition, held.part);
				held.part = undefined;
			}
			held.part ??= new FinalsPart({ offset, begins: signal.as_of });
			const isNew = signal.as_of >= held.part.begins && held.part.add(signal);
			if (isNew) held.part.unwrittenSince ??= now();
			if (offset >= held.to) counts[isNew ? 'finals' : 'repeated'] += 1;
		}
		held.to = Math.max(held.to, to);
		const { part } = held;
		if (part?.unwrittenSince !== undefined && now() - part.unwrittenSince >= partial_ms) await writePartial(partition, part);
		return part?.offset ?? to;
	}

	const sink = await openSink({
		log,
		group: GROUP,
		topics: sinkGroups[GROUP],
		kinds: ['signal'],
		what: 'the offline store',
		write,
		onTrouble,
		...(retry_ms === undefined ? {} : { retry_ms }),
	});
	// The mover's own counts, and ours beside them.
	const counts = Object.assign(sink.counts, { finals: 0, repeated: 0, files: 0, refused: 0 });
	return {
		...sink,
		counts,
		async stop() {
			await sink.stop();
			for (const [partition, { part }] of partitions) {
				if (part?.unwrittenSince === undefined) continue;
				try {
					await writePartial(partition, part);
				} catch (error) {
					onTrouble(`The last finals of partition ${partition} are not in the offline store yet; they wait in the log: ${causeOf(error)}`);
				}
			}
		},
	};
}
