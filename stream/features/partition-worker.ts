import { checkpoint, restoreWindow } from '#models/features/checkpoint.ts';
import { features } from '#models/features/features.ts';
import { advance, fold } from '#models/features/fold.ts';
import { emptyWindow, hasEvents } from '#models/features/window.ts';
import type { Event } from '#schemas/event.ts';
import type { FeatureCheckpoint, FeatureCheckpoints, FeatureProgress, RegionState } from '#schemas/feature-checkpoints.ts';
import type { Frame, FrameAnswer } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import { type EventTopic, eventTopics } from '#schemas/topic.ts';
import type { Catalogue } from '../catalogue.ts';
import { causeOf } from '../cause-of.ts';
import type { Clock } from '../clock.ts';
import type { Appended, EventLog, ReadLimits } from '../log/event-log.ts';
import { ActiveMinutes } from './active-minutes.ts';
import { frameMaker } from './frame-maker.ts';
import { type HeldRegion, isLogged, signalRecord } from './held-region.ts';
import { IdIndex } from './id-index.ts';
import { openInbox, type Read } from './inbox.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const READ: ReadLimits = { records_max: limits.fold_read_records_max, bytes_max: limits.fold_read_bytes_max };

export interface WorkerCounts {
	folded: number;
	duplicates: number;
	late: number;
	dead: number;
	finals: number;
}

export interface PartitionWorkerOptions {
	log: EventLog;
	checkpoints: FeatureCheckpoints;
	catalogue: Catalogue;
	clock: Clock;
	lateness_ms: number;
	counts: WorkerCounts;
	onTrouble?: ((text: string) => void) | undefined;
	/** How much is read of a topic at once. */
	read?: ReadLimits | undefined;
}

/** One partition's fold: what is read, what is known, what the Shard has been told. Its calls follow one another, but for pushed(). */
export interface PartitionWorker {
	readonly number: number;
	readonly as_of: number;
	/** The last minute whose finals are made, milliseconds; 0 before any. */
	readonly final_minute: number;
	readonly regions: number;
	/**
	 * Reads and folds what is there, up to a bound. True when more is waiting.
	 * @throws LogUnavailable, CatalogueUnavailable, CorruptRecord: nothing is lost, look again later. PositionLost: stop.
	 */
	look(): Promise<boolean>;
	/** Whether regions changed that the Shard has not acknowledged. */
	readonly dirty: boolean;
	/** The instant at which something that is held becomes visible; Infinity for none. */
	readonly held_until: number;
	/** Frames with what changed, or with every region. Tell the answers to `pushed`; without answers nothing counts as told. */
	frames(whole: boolean): Frame[];
	/**
	 * `taken`: all of them; `whole_wanted`: a whole push should follow.
	 * @throws Fenced when somebody else owns the partition.
	 */
	pushed(frames: readonly Frame[], answers: readonly FrameAnswer[] | undefined): Promise<{ taken: boolean; whole_wanted: boolean }>;
	/** Whether it is still the owner by the store: false when another took the partition over, be it for a while. */
	owns(): Promise<boolean>;
	/** State and position in one transaction. @throws Fenced when somebody else owns the partition. */
	save(): Promise<void>;
}

const nothingRead = (): Record<EventTopic, number> => ({ 'user-events': 0, 'supply-events': 0, 'external-events': 0 });

/**
 * Takes over a partition: claims its epoch and goes on from its checkpoint, or from the start of the log where there is none (or where it is of
 * another log, or of a form that this release does not read). Order of effects in a look: fold, append finals and what goes aside; then, at a save,
 * the position that moves past their records.
 */
export async function openPartitionWorker(number: number, options: PartitionWorkerOptions): Promise<PartitionWorker> {
	const { log, checkpoints, catalogue, clock, lateness_ms, counts, onTrouble = () => undefined } = options;
	const settle_ms = lateness_ms + limits.stamp_to_append_ms_max;
	// A final looks back an hour from a minute that is as old as an event may still come, and events may lie ahead.
	const active_ms = settle_ms + HOUR_MS + limits.future_ms_max + 2 * MINUTE_MS;
	let epoch = await checkpoints.claim(number);
	const stored = await checkpoints.load(number);
	const usable = stored?.progress.log_identity === log.identity ? restored(stored) : undefined;
	/** What is in the store does not count: the first save that succeeds replaces it. */
	let anew = usable === undefined;
	const progress: FeatureProgress = usable?.progress ?? {
		positions: nothingRead(),
		stamps: nothingRead(),
		as_of: 0,
		final_minute: 0,
		log_identity: log.identity,
		seeds: [...crypto.getRandomValues(new Int32Array(2))] as [number, number],
	};
	// With less lateness than before the windows do not reach back to every final that is missing.
	const oldest = Math.ceil((progress.as_of - lateness_ms - limits.final_back_ms_max) / MINUTE_MS) * MINUTE_MS;
	progress.final_minute = Math.max(progress.final_minute, oldest - MINUTE_MS);
	if (!usable) for (const topic of eventTopics) progress.positions[topic] = await log.start(topic, number);
	const ids = new IdIndex(progress.seeds);
	for (const part of usable?.ids ?? []) ids.restore(part);
	const regions = usable?.held ?? new Map<string, HeldRegion>();
	const inbox = openInbox({ log, number, lateness_ms, read: options.read ?? READ, from: progress });
	const ticks = nothingRead();
	/** Events of a region that is not in the catalogue were read: it is asked again before they are folded. */
	let strangers = false;
	/** For the log, from what is folded already: nothing is read or saved before the log has it. */
	let outbox: Appended[] = [];
	const frames = frameMaker(number, {
		regions,
		catalogue,
		virtual: clock.virtual,
		log: (live) => void log.append(live).catch(() => undefined), // what was served is for training only: a gap there is no loss
	});
	/** Regions folded since the last save, and what a failed save left to be saved. */
	const unsaved = new Set<string>();
	const unsavedParts = new Map<string, RegionState>();
	let moved = false;

	/** A checkpoint with its windows; undefined for one of another release, whose form cannot be read: then the log is folded again. */
	function restored(checkpoint: FeatureCheckpoint): (FeatureCheckpoint & { held: Map<string, HeldRegion> }) | undefined {
		try {
			const held = checkpoint.regions.map(({ region_id, recent, active, days }): [string, HeldRegion] => {
				const window = restoreWindow({ recent, days, lateness_ms });
				return [region_id, { window, active: new ActiveMinutes(active_ms, active), usual_week: undefined }];
			});
			return { ...checkpoint, held: new Map(held) };
		} catch (error) {
			onTrouble(`Partition ${number} is folded again from the start of the log: ${causeOf(error)}`);
			return undefined;
		}
	}

	/** A record that changes no window, on a side topic with its original bytes and where it came from. */
	function aside({ topic, record }: Read, { to, reason }: NonNullable<Read['aside']>): void {
		if (to === 'late-events') counts.late += 1;
		else counts.dead += 1;
		const headers = { ...record.headers, reason, source: `${topic}/${number}/${record.offset}` };
		outbox.push({ topic: to, partition: 0, key: record.key, value: record.value, timestamp: record.timestamp, headers });
	}

	/** The region of an event, new if need be; or why there is none. */
	function regionOf(event: Event): HeldRegion | string {
		const { region_id } = event;
		const known = regions.get(region_id);
		if (known) return known;
		if (!catalogue.get(region_id)) return `unknown region "${region_id}"`;
		const place = partition(region_id, log.partitions);
		if (place !== number) return `region "${region_id}" belongs to partition ${place}`;
		const held: HeldRegion = { window: emptyWindow({ lateness_ms }), active: new ActiveMinutes(active_ms), usual_week: undefined };
		advance(held.window, progress.as_of);
		regions.set(region_id, held);
		return held;
	}

	function take(read: Read): void {
		const { topic, record, stamp, event, tick } = read;
		progress.positions[topic] = record.offset + 1;
		progress.stamps[topic] = stamp;
		moved = true;
		if (read.aside) {
			aside(read, read.aside);
			return;
		}
		if (tick !== undefined) ticks[topic] = Math.max(ticks[topic], tick);
		if (!event) return;
		// Nothing in time at the first stamp, or at a later one, happened before this minute.
		if (progress.final_minute === 0) progress.final_minute = Math.floor((stamp - settle_ms) / MINUTE_MS) * MINUTE_MS;
		// Only after an append that came later than it may: a final is its minute's mark.
		if (event.timestamp < progress.final_minute) {
			aside(read, { to: 'late-events', reason: 'its minute is final' });
			return;
		}
		const held = regionOf(event);
		if (typeof held === 'string') {
			aside(read, { to: 'dead-letter', reason: held });
			return;
		}
		if (!ids.add(event.event_id, event.timestamp, stamp - settle_ms)) {
			counts.duplicates += 1;
			return;
		}
		fold(held.window, event);
		held.active.add(event.timestamp);
		counts.folded += 1;
		frames.changed(event.region_id);
		unsaved.add(event.region_id);
	}

	/** The finals of every minute that nothing in time can change any more once stamps have passed `until`. False when there are more to make. */
	function makeFinals(until: number): boolean {
		const last = Math.ceil((until - settle_ms) / MINUTE_MS - 1) * MINUTE_MS;
		if (last <= progress.final_minute) return true;
		if (regions.size === 0) {
			progress.final_minute = last;
			return true;
		}
		for (let minute = progress.final_minute + MINUTE_MS; minute <= last; minute += MINUTE_MS) {
			if (outbox.length >= limits.fold_appends_max) return false;
			for (const [id, held] of regions) {
				if (!isLogged(held, minute)) continue;
				const region = catalogue.get(id);
				if (!region) continue;
				advance(held.window, minute + settle_ms);
				if (!hasEvents(held.window, minute)) continue;
				outbox.push(signalRecord(id, { partition: number, kind: 'final', as_of: minute, values: features(held.window, region, minute) }));
				counts.finals += 1;
			}
			progress.final_minute = minute;
			moved = true;
		}
		return true;
	}

	async function flush(): Promise<void> {
		if (outbox.length === 0) return;
		await log.append(outbox);
		outbox = [];
	}

	function reach(at: number): void {
		if (at <= progress.as_of) return;
		progress.as_of = at;
		frames.reach(at);
	}

	return {
		number,
		get as_of() {
			return progress.as_of;
		},
		get final_minute() {
			return progress.final_minute;
		},
		get regions() {
			return regions.size;
		},
		get dirty() {
			return frames.dirty;
		},
		get held_until() {
			return frames.held_until;
		},
		async look() {
			await flush(); // what an earlier look could not append
			const wall = clock.now();
			const now = (): number => (clock.virtual ? Math.min(...eventTopics.map((topic) => ticks[topic] || progress.as_of)) : wall);
			await inbox.fill(({ region_id }) => {
				strangers ||= !(regions.has(region_id) || catalogue.get(region_id));
			});
			if (strangers) await catalogue.refresh(); // one for all of them: ingestion knew a region before it appended its event
			strangers = false;
			let reached = 0;
			let finished = true;
			for (let read = inbox.peek(); read; read = inbox.peek()) {
				// Not beyond the clock, though a record may have been stamped since: windows never stand ahead of as_of.
				finished = read.stamp <= progress.final_minute + MINUTE_MS + settle_ms || makeFinals(Math.min(read.stamp, now()));
				if (!finished) break;
				take(read);
				inbox.drop();
				reached = read.stamp;
			}
			const atEnd = finished && inbox.atEnd;
			if (finished) {
				const until = atEnd ? now() : Math.min(reached, now());
				finished = makeFinals(until);
				if (finished) reach(until);
			}
			if (!finished) reach(progress.final_minute + settle_ms);
			ids.forget(inbox.least(now()) - settle_ms);
			await flush();
			return !(atEnd && finished);
		},
		frames: (whole) => frames.frames(whole, { epoch, as_of: progress.as_of }),
		async pushed(sent, answers) {
			const { taken, whole_wanted, above } = frames.pushed(sent, answers);
			if (above < 0) return { taken, whole_wanted };
			// If this worker owns the partition, the Shard's pair is of a store that was restored since: go above it.
			epoch = await checkpoints.raise(number, { epoch, above });
			return { taken, whole_wanted: true };
		},
		owns: async () => (await checkpoints.owner(number)) === epoch,
		async save() {
			await flush();
			if (!moved && unsavedParts.size === 0) return;
			for (const id of unsaved) {
				const held = regions.get(id);
				if (!held) continue;
				const { recent, days } = checkpoint(held.window);
				// Days that are handed out count as stored, so those of a failed save are kept.
				const merged = new Map([...(unsavedParts.get(id)?.days ?? []), ...days].map((day) => [day.day, day]));
				unsavedParts.set(id, { region_id: id, recent, active: held.active.bytes(), days: [...merged.values()] });
			}
			unsaved.clear();
			moved = false;
			try {
				await checkpoints.save(number, {
					epoch,
					anew,
					progress: structuredClone(progress),
					regions: [...unsavedParts.values()],
					ids: ids.changes(),
					forgotten_buckets_below: ids.first,
					forgotten_days_below: Math.floor(progress.as_of / DAY_MS) - limits.fold_days_kept,
				});
				anew = false;
				unsavedParts.clear();
				ids.saved();
			} catch (error) {
				moved = true;
				throw error;
			}
		},
	};
}
