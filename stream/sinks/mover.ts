import { type Behind, behind, type Failing, failing } from '#schemas/behind.ts';
import { limits } from '#schemas/limits.ts';
import { partitionsOf, type Topic } from '#schemas/topic.ts';
import { Undecodable } from '../avro/codec.ts';
import { causeOf } from '../cause-of.ts';
import { type EventLog, PositionLost, type StoredRecord } from '../log/event-log.ts';
import { NotOwner } from '../log/member.ts';
import { lagMeter } from './lag.ts';
import type { Sink, SinkBatch } from './sink.ts';

const READ = { records_max: limits.sink_read_records_max, bytes_max: limits.sink_read_bytes_max };

export interface MoverOptions<T> {
	log: EventLog;
	group: string;
	topics: readonly Topic[];
	/** Names the store to people: `the store of decisions`. */
	what: string;
	/** What the store makes of a record whose checksum holds. @throws Undecodable for one that is to be named and skipped. */
	decode: (record: StoredRecord, at: { topic: Topic; partition: number }) => T;
	/**
	 * Resolves when the batches are durable in the store, at most one a topic and partition. It may answer, for each, an offset up to which that holds, where
	 * it keeps a part back: a restart reads again from there. After a failure, or when partitions were given out anew, a batch may overlap earlier ones.
	 */
	write: (batches: SinkBatch<T>[]) => Promise<(number | undefined)[] | undefined>;
	/** How many records are enough for a round (the last reading may exceed it), and how long after another a smaller one is written; none: each reading by itself. */
	gather?: { records_max: number; ms: number };
	onTrouble?: ((text: string) => void) | undefined;
	retry_ms?: number | undefined;
}

/**
 * Topics of the log into a store, by a group whose members share the partitions. Order of effects: write, then move the positions; so a record may come twice,
 * and the store has it once by what the record says of itself. A record that cannot be read is named and skipped; while the store is away all waits in the log.
 */
export async function openMover<T>(options: MoverOptions<T>): Promise<Sink> {
	const { log, group, topics, what, write, gather = { records_max: 1, ms: 0 }, onTrouble = () => undefined, retry_ms = limits.sink_retry_ms } = options;
	const member = await log.join(group, topics);
	/** The next offset to be read of what is owned, once asked. */
	const positions = new Map<string, number>();
	const forget = member.onChange(() => positions.clear());
	const counts = { moved: 0, failures: 0, unreadable: 0 };
	let stopping = false;
	let draining = 0;
	let running: Promise<void> | undefined;
	let news = false;
	let wake: ((always: boolean) => void) | undefined;
	let trouble: Failing | undefined;
	/** When the last round was written: wall clock, milliseconds. */
	let wroteAt = 0;
	/** Where the next round begins, so that a long backlog of one partition does not hold up the others. */
	let turn = 0;
	const unsubscribe = log.onAppend(() => {
		news = true;
		wake?.(false);
	});

	/** What this member moves of a topic: a side topic has one partition, however many the others have. */
	const owned = (topic: Topic): readonly number[] => member.partitions().filter((partition) => partition < partitionsOf(topic, log.partitions));

	const keyOf = (topic: Topic, partition: number) => `${topic}/${partition}`;
	async function positionOf(topic: Topic, partition: number): Promise<number> {
		const key = keyOf(topic, partition);
		const position = positions.get(key) ?? (await member.position(topic, partition));
		// Whoever asked at the same time may have moved on meanwhile.
		if (!positions.has(key)) positions.set(key, position);
		return positions.get(key)!;
	}

	/** What is gathered of a partition, and what of it cannot be read. */
	interface Gathered {
		batch: SinkBatch<T>;
		unreadable: string[];
	}

	/** Reads on behind what is gathered of a partition. Answers how many records came. */
	async function read({ batch, unreadable }: Gathered): Promise<number> {
		const { topic, partition } = batch;
		const stored = await member.read(topic, partition, { ...READ, offset: batch.to });
		const records: SinkBatch<T>['records'] = [];
		const bad: string[] = [];
		for (const record of stored) {
			const { offset, timestamp, corrupt } = record;
			try {
				if (corrupt) throw new Undecodable('the stored bytes fail their checksum');
				records.push({ offset, timestamp, decoded: options.decode(record, { topic, partition }) });
			} catch (error) {
				if (!(error instanceof Undecodable)) throw error;
				bad.push(`Record ${topic}/${partition}/${offset} is skipped: ${error.message}`);
			}
		}
		// Only now: a reading that fails in the middle counts as none of it.
		batch.records.push(...records);
		batch.to += stored.length;
		unreadable.push(...bad);
		return stored.length;
	}

	const meter = lagMeter({
		places: () =>
			topics.flatMap((topic) =>
				owned(topic).map((partition) => ({
					key: keyOf(topic, partition),
					position: () => positionOf(topic, partition),
					end: () => log.end(topic, partition),
				})),
			),
	});
	/** Beside the loop, which a store may keep waiting. */
	async function measure(): Promise<void> {
		await meter.look().catch(() => undefined); // the log does not answer: the loop says so, and the lag grows
		if (!stopping) measuring = setTimeout(measure, limits.sink_lag_ms).unref();
	}
	let measuring: NodeJS.Timeout | undefined;
	function lagging(): Behind[] {
		const { records, since } = meter.lag();
		const now = Date.now();
		if (now - since < limits.sink_behind_ms) return [];
		return [behind(what, { since, cause: `${records} records wait in the log` }, now)];
	}

	async function put(round: Gathered[]): Promise<void> {
		const durable = await write(round.map(({ batch }) => batch));
		for (const [at, { batch, unreadable }] of round.entries()) {
			const { topic, partition, to, records } = batch;
			await member.commit(topic, partition, durable?.[at] ?? to);
			positions.set(keyOf(topic, partition), to);
			counts.moved += records.length;
			counts.unreadable += unreadable.length;
			for (const text of unreadable) onTrouble(text);
		}
	}

	/**
	 * Gathers a round and writes it: when enough is together, when nothing more came and the last round is `gather.ms` ago, or when it has gathered for so long.
	 * False when there was nothing.
	 */
	async function goRound(): Promise<boolean> {
		const places = topics.flatMap((topic) => owned(topic).map((partition) => ({ topic, partition })));
		const round = new Map<string, Gathered>();
		const failed = new Map<string, unknown>();
		const began = Date.now();
		let records = 0;
		turn += 1;
		for (let came = 0; !stopping; came = 0) {
			for (let n = 0; n < places.length && !stopping && records < gather.records_max; n++) {
				const { topic, partition } = places[(n + turn) % places.length]!;
				const key = keyOf(topic, partition);
				if (failed.has(key)) continue;
				try {
					const gathered = round.get(key) ?? (await nothingOf(topic, partition));
					const more = await read(gathered);
					if (more > 0) round.set(key, gathered);
					came += more;
					records += more;
				} catch (error) {
					failed.set(key, error); // told after the round: one partition that cannot be read does not hold up the others
				}
			}
			if (records === 0 || records >= gather.records_max || Date.now() - began >= gather.ms) break;
			if (came > 0) continue;
			const due = wroteAt + gather.ms - Date.now();
			if (due <= 0 || draining > 0) break;
			await sleep('drain', due);
		}
		if (round.size > 0) {
			wroteAt = Date.now();
			await put([...round.values()]);
		}
		for (const error of failed.values()) throw error;
		return round.size > 0;
	}
	async function nothingOf(topic: Topic, partition: number): Promise<Gathered> {
		const from = await positionOf(topic, partition);
		return { batch: { topic, partition, from, to: from, records: [] }, unreadable: [] };
	}

	/** @param wakes what ends it beside time and a stop: an append, a drain that wants no waiting, or nothing. */
	async function sleep(wakes: 'append' | 'drain' | 'nothing', ms: number): Promise<void> {
		if (stopping || (wakes === 'append' && news) || (wakes === 'drain' && draining > 0)) return;
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, ms);
			wake = (always) => {
				if (!(always || wakes === 'append')) return;
				if (!stopping && wakes === 'nothing') return;
				clearTimeout(timer);
				resolve();
			};
		});
		wake = undefined;
	}

	async function loop(): Promise<void> {
		while (!stopping) {
			news = false;
			try {
				const wrote = await goRound();
				trouble = undefined;
				if (!wrote) await sleep('append', retry_ms);
			} catch (error) {
				if (error instanceof NotOwner) continue;
				counts.failures += 1;
				const text =
					error instanceof PositionLost
						? `${causeOf(error)}: npm run skip-lost -- ${group} says what ${what} has lost, and goes on without it`
						: `${what[0]?.toUpperCase()}${what.slice(1)} takes nothing; all waits in the log: ${causeOf(error)}`;
				if (text !== trouble?.cause) onTrouble(text); // said once, not at every retry
				trouble = failing(trouble, { cause: text, now: Date.now() });
				await sleep('nothing', retry_ms);
			}
		}
	}

	return {
		counts,
		partitions: () => member.partitions(),
		trouble: () => trouble?.cause ?? null,
		lag: meter.lag,
		behind: () => (trouble ? [behind(what, trouble, Date.now())] : lagging()),
		start() {
			if (running) return;
			running = loop();
			void measure();
		},
		async drain(wait_ms) {
			const deadline = Date.now() + wait_ms;
			draining += 1;
			wake?.(true);
			try {
				for (const topic of topics)
					for (const partition of owned(topic)) {
						const end = await log.end(topic, partition);
						while ((await positionOf(topic, partition)) < end && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
					}
			} finally {
				draining -= 1;
			}
		},
		async stop() {
			stopping = true;
			clearTimeout(measuring);
			wake?.(true);
			await running;
			unsubscribe();
			forget();
			await member.leave();
		},
	};
}
