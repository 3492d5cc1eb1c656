import { type Behind, behind, type Failing, failing } from '#schemas/behind.ts';
import { limits } from '#schemas/limits.ts';
import type { Topic } from '#schemas/topic.ts';
import { type Decoded, decode, Undecodable } from '../avro/codec.ts';
import { causeOf } from '../cause-of.ts';
import type { EventLog } from '../log/event-log.ts';
import { NotOwner } from '../log/member.ts';

const READ = { records_max: limits.sink_read_records_max, bytes_max: limits.sink_read_bytes_max };

/** A record of the log as a sink's store gets it. */
export interface SinkRecord {
	offset: number;
	timestamp: number;
	decoded: Decoded;
}

/** Records of one partition, in order: those that can be read of the offsets from `from` to before `to`. */
export interface SinkBatch {
	topic: Topic;
	partition: number;
	from: number;
	to: number;
	records: SinkRecord[];
}

export interface Sink {
	/** `moved`: records; `unreadable`: those that were named and skipped. */
	readonly counts: { moved: number; failures: number; unreadable: number };
	/** Null while all is well, else why records wait. */
	trouble(): string | null;
	behind(): Behind[];
	start(): void;
	/** Resolves when everything that is in the log now is in the store, or after `wait_ms`: the rest waits in the log. */
	drain(wait_ms: number): Promise<void>;
	stop(): Promise<void>;
}

/**
 * Topics of the log into a store, by a group whose members share the partitions. Order of effects: write, then move the position; so a record may come twice, and
 * the store has it once by what the record says of itself. A record that cannot be read is named and skipped; while the store is away everything waits in the log.
 * @param options.kinds that belong into these topics.
 * @param options.what names the store to people: `the store of decisions`.
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
	const { log, group, topics, kinds, what, write, onTrouble = () => undefined, retry_ms = limits.sink_retry_ms } = options;
	const member = await log.join(group, topics);
	/** The next offset to be read of what is owned, once asked. */
	const positions = new Map<string, number>();
	const forget = member.onChange(() => positions.clear());
	const counts = { moved: 0, failures: 0, unreadable: 0 };
	let stopping = false;
	let running: Promise<void> | undefined;
	let news = false;
	let wake: (() => void) | undefined;
	let trouble: Failing | undefined;
	const unsubscribe = log.onAppend(() => {
		news = true;
		wake?.();
	});

	const keyOf = (topic: Topic, partition: number) => `${topic}/${partition}`;
	async function positionOf(topic: Topic, partition: number): Promise<number> {
		const position = positions.get(keyOf(topic, partition)) ?? (await member.position(topic, partition));
		positions.set(keyOf(topic, partition), position);
		return position;
	}

	/** True when something was read. */
	async function move(topic: Topic, partition: number): Promise<boolean> {
		const from = await positionOf(topic, partition);
		const read = await member.read(topic, partition, { ...READ, offset: from });
		if (read.length === 0) return false;
		const batch: SinkBatch = { topic, partition, from, to: from + read.length, records: [] };
		const unreadable: string[] = [];
		for (const { value, corrupt, offset, timestamp } of read) {
			try {
				if (corrupt) throw new Undecodable('the stored bytes fail their checksum');
				const decoded = decode(value);
				if (!kinds.includes(decoded.kind)) throw new Undecodable(`a ${decoded.kind} does not belong here`);
				batch.records.push({ offset, timestamp, decoded });
			} catch (error) {
				if (!(error instanceof Undecodable)) throw error;
				unreadable.push(`Record ${topic}/${partition}/${offset} is skipped: ${error.message}`);
			}
		}
		const durable = (await write(batch)) ?? batch.to;
		await member.commit(topic, partition, durable);
		positions.set(keyOf(topic, partition), batch.to);
		counts.moved += batch.records.length;
		counts.unreadable += unreadable.length;
		for (const text of unreadable) onTrouble(text);
		return true;
	}

	/** @param withNews whether an append ends it. */
	async function sleep(withNews: boolean): Promise<void> {
		if (stopping || (withNews && news)) return;
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, retry_ms);
			wake = () => {
				if (!(withNews || stopping)) return;
				clearTimeout(timer);
				resolve();
			};
		});
		wake = undefined;
	}

	async function loop(): Promise<void> {
		while (!stopping) {
			let moved = false;
			news = false;
			try {
				for (const topic of topics) for (const partition of member.partitions()) if (!stopping) moved = (await move(topic, partition)) || moved;
				trouble = undefined;
			} catch (error) {
				if (error instanceof NotOwner) continue;
				counts.failures += 1;
				const text = `${what[0]?.toUpperCase()}${what.slice(1)} takes nothing; all waits in the log: ${causeOf(error)}`;
				if (text !== trouble?.cause) onTrouble(text); // said once, not at every retry
				trouble = failing(trouble, { cause: text, now: Date.now() });
				await sleep(false);
				continue;
			}
			if (!moved) await sleep(true);
		}
	}

	return {
		counts,
		trouble: () => trouble?.cause ?? null,
		behind: () => (trouble ? [behind(what, trouble, Date.now())] : []),
		start() {
			running ??= loop();
		},
		async drain(wait_ms) {
			const deadline = Date.now() + wait_ms;
			for (const topic of topics)
				for (const partition of member.partitions()) {
					const end = await log.end(topic, partition);
					while ((await positionOf(topic, partition)) < end && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
				}
		},
		async stop() {
			stopping = true;
			wake?.();
			await running;
			unsubscribe();
			forget();
			await member.leave();
		},
	};
}
