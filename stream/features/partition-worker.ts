import { checkpoint, restoreWindow } from '#models/features/checkpoint.ts';
import { busyDrivers, features } from '#models/features/features.ts';
import { advance, fold } from '#models/features/fold.ts';
import { usualWeek } from '#models/features/usual-week.ts';
import { emptyWindow, hasEvents, type RegionWindow } from '#models/features/window.ts';
import type { Event } from '#schemas/event.ts';
import { FEATURE_SET } from '#schemas/feature.ts';
import type { Frame, FrameAnswer } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { type EventTopic, eventTopics } from '#schemas/topic.ts';
import { decode, encodeSignal, Undecodable } from '../avro/codec.ts';
import type { Catalogue } from '../catalogue.ts';
import type { Clock } from '../clock.ts';
import type { Appended, EventLog, StoredRecord } from '../log/event-log.ts';
import type { FeatureCheckpoints, FeatureProgress, RegionState } from '../log/feature-checkpoints.ts';
import { IdIndex } from './id-index.ts';
import { splitFrames } from './split-frames.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const READ = { records_max: 2000, bytes_max: 4 * 1024 * 1024 };
/** Day blocks older than the usuals ever need. */
const DAYS_KEPT = 31;

export interface WorkerCounts {
	folded: number;
	duplicates: number;
	late: number;
	dead: number;
	finals: number;
}

interface HeldRegion {
	window: RegionWindow;
	/** Event time of the latest event folded: decides how often its vectors are logged. */
	last_event: number;
	usual_week: { sent_at: number; text: string } | undefined;
}

/** A record waiting to be folded. */
interface Read {
	record: StoredRecord;
	/** ingested_at; of what cannot be read, the stamp before it. */
	stamp: number;
	event?: Event;
	tick?: number;
	/** Why it goes to dead-letter. */
	bad?: string;
}

/** One partition's fold: what is read, what is known, what the Shard has been told. */
export interface PartitionWorker {
	readonly number: number;
	readonly as_of: number;
	readonly regions: number;
	/** Reads and folds what is there, up to a bound. True when more is waiting. */
	look(): Promise<boolean>;
	/** Whether regions changed that the Shard has not acknowledged. */
	readonly dirty: boolean;
	/** Frames with what changed, or with every region. Tell the answers to `pushed`; without answers nothing counts as told. */
	frames(whole: boolean): Frame[];
	/** Returns whether a whole push should follow. */
	pushed(frames: readonly Frame[], answers: readonly FrameAnswer[] | undefined): Promise<boolean>;
	/** State and position in one transaction. @throws Fenced when somebody else owns the partition. */
	save(): Promise<void>;
}

/**
 * Takes over a partition: claims its epoch and goes on from its checkpoint, or from the start of the log where there is none (or where it is of
 * another log).
 */
export async function openPartitionWorker(
	number: number,
	options: { log: EventLog; checkpoints: FeatureCheckpoints; catalogue: Catalogue; clock: Clock; lateness_ms: number; counts: WorkerCounts },
): Promise<PartitionWorker> {
	const { log, checkpoints, catalogue, clock, lateness_ms, counts } = options;
	const settle_ms = lateness_ms + limits.stamp_to_append_ms_max;
	let epoch = await checkpoints.claim(number);
	let seq = 0;
	const stored = await checkpoints.load(number);
	const usable = stored?.progress.log_identity === log.identity ? stored : undefined;
	const progress: FeatureProgress = usable?.progress ?? {
		positions: { 'user-events': 0, 'supply-events': 0, 'external-events': 0 },
		stamps: { 'user-events': 0, 'supply-events': 0, 'external-events': 0 },
		as_of: 0,
		final_minute: 0,
		log_identity: log.identity,
		seeds: crypto.getRandomValues(new Int32Array(2)) as unknown as [number, number], // two numbers either way
	};
	progress.seeds = [progress.seeds[0], progress.seeds[1]];
	const ids = new IdIndex(progress.seeds);
	for (const part of usable?.ids ?? []) ids.restore(part);
	const regions = new Map<string, HeldRegion>();
	for (const { region_id, recent, days } of usable?.regions ?? []) {
		const window = restoreWindow({ recent, days, lateness_ms });
		regions.set(region_id, { window, last_event: window.as_of, usual_week: undefined });
	}
	/** Next offset to read, ahead of `progress.positions` by what is buffered. */
	const next = { ...progress.positions };
	const buffers: Record<EventTopic, Read[]> = { 'user-events': [], 'supply-events': [], 'external-events': [] };
	const ticks: Record<EventTopic, number> = { 'user-events': 0, 'supply-events': 0, 'external-events': 0 };
	let dirty = new Set<string>(regions.keys());
	/** Regions folded since the last save, and what a failed save left to be saved. */
	const unsaved = new Set<string>();
	const unsavedParts = new Map<string, RegionState>();
	let moved = false;
	let liveMinute = 0;

	function read(topic: EventTopic, record: StoredRecord): Read {
		const before = buffers[topic].at(-1)?.stamp ?? progress.stamps[topic];
		if (record.corrupt) return { record, stamp: before, bad: 'the stored bytes fail their checksum' };
		try {
			const decoded = decode(record.value);
			if (decoded.kind === 'tick') return { record, stamp: decoded.now, tick: decoded.now };
			if (decoded.kind === 'event') return { record, stamp: decoded.event.ingested_at, event: decoded.event };
			return { record, stamp: before, bad: `a ${decoded.kind} does not belong on ${topic}` };
		} catch (error) {
			if (!(error instanceof Undecodable)) throw error;
			return { record, stamp: before, bad: error.message };
		}
	}

	/** A record that changes no window, on a side topic with its original bytes and where it came from. */
	function aside(topic: 'late-events' | 'dead-letter', from: { topic: EventTopic; record: StoredRecord }, reason: string): Appended {
		if (topic === 'late-events') counts.late += 1;
		else counts.dead += 1;
		const { record } = from;
		const headers = { ...record.headers, reason, source: `${from.topic}/${number}/${record.offset}` };
		return { topic, partition: 0, key: record.key, value: record.value, timestamp: record.timestamp, headers };
	}

	/** Folds one record; returns what goes aside. */
	async function take(topic: EventTopic, { record, stamp, event, tick, bad }: Read): Promise<Appended | undefined> {
		const greatest = progress.stamps[topic];
		progress.positions[topic] = record.offset + 1;
		progress.stamps[topic] = Math.max(greatest, stamp);
		moved = true;
		if (bad !== undefined) return aside('dead-letter', { topic, record }, bad);
		if (tick !== undefined) {
			ticks[topic] = Math.max(ticks[topic], tick);
			return undefined;
		}
		if (!event) return undefined;
		if (stamp < greatest - limits.stamp_to_append_ms_max)
			return aside('late-events', { topic, record }, 'stamped more than 30 s before the record ahead of it');
		if (stamp - event.timestamp > lateness_ms) return aside('late-events', { topic, record }, `${stamp - event.timestamp} ms late`);
		if (event.timestamp - stamp > limits.future_ms_max) return aside('dead-letter', { topic, record }, `${event.timestamp - stamp} ms ahead of its ingestion`);
		let held = regions.get(event.region_id);
		if (!held) {
			if (!catalogue.get(event.region_id)) await catalogue.refresh();
			if (!catalogue.get(event.region_id)) return aside('dead-letter', { topic, record }, `unknown region "${event.region_id}"`);
			held = { window: emptyWindow({ lateness_ms }), last_event: 0, usual_week: undefined };
			advance(held.window, progress.as_of);
			regions.set(event.region_id, held);
		}
		if (!ids.add(event.event_id, event.timestamp)) {
			counts.duplicates += 1;
			return undefined;
		}
		fold(held.window, event);
		held.last_event = Math.max(held.last_event, event.timestamp);
		counts.folded += 1;
		dirty.add(event.region_id);
		unsaved.add(event.region_id);
		return undefined;
	}

	/** Vectors are logged every minute where something happened within the hour, else every quarter-hour. */
	const logged = (held: HeldRegion, minute: number): boolean => minute % (15 * MINUTE_MS) === 0 || held.last_event > minute - HOUR_MS;

	/** The finals of every minute that nothing in time can change any more once stamps have passed `until`. */
	function finals(until: number): Appended[] {
		const signals: Appended[] = [];
		if (progress.final_minute === 0) {
			if (regions.size === 0) return signals;
			// Nothing before the first record's own lateness can have a final.
			progress.final_minute =
				Math.floor((Math.min(...eventTopics.map((topic) => progress.stamps[topic] || Number.POSITIVE_INFINITY)) - lateness_ms) / MINUTE_MS) * MINUTE_MS;
		}
		for (let minute = progress.final_minute + MINUTE_MS; minute + settle_ms < until; minute += MINUTE_MS) {
			for (const [id, held] of regions) {
				advance(held.window, minute + settle_ms);
				const region = catalogue.get(id);
				if (!region || !logged(held, minute) || !hasEvents(held.window, minute)) continue;
				signals.push(signal(id, 'final', { as_of: minute, values: features(held.window, region, minute) }));
				counts.finals += 1;
			}
			progress.final_minute = minute;
			moved = true;
		}
		return signals;
	}

	function signal(regionId: string, kind: 'live' | 'final', { as_of, values }: { as_of: number; values: Frame['regions'][number]['values'] }): Appended {
		const value = encodeSignal({ region_id: regionId, kind, feature_set: FEATURE_SET, as_of, values });
		return { topic: 'demand-signals', partition: number, key: regionId, value, timestamp: as_of };
	}

	return {
		number,
		get as_of() {
			return progress.as_of;
		},
		get regions() {
			return regions.size;
		},
		get dirty() {
			return dirty.size > 0;
		},
		async look() {
			const wall = clock.now();
			const complete: Record<EventTopic, boolean> = { 'user-events': true, 'supply-events': true, 'external-events': true };
			for (const topic of eventTopics) {
				if (buffers[topic].length >= READ.records_max) {
					complete[topic] = false;
					continue;
				}
				const records = await log.read(topic, number, { ...READ, offset: next[topic] });
				for (const record of records) buffers[topic].push(read(topic, record));
				next[topic] += records.length;
				complete[topic] = next[topic] >= (await log.end(topic, number));
			}
			// Topics are folded in step, by stamp: up to the least that the incomplete ones have come to.
			let horizon = Number.POSITIVE_INFINITY;
			for (const topic of eventTopics) if (!complete[topic]) horizon = Math.min(horizon, buffers[topic].at(-1)?.stamp ?? progress.stamps[topic]);
			const asides: Appended[] = [];
			const at: Record<EventTopic, number> = { 'user-events': 0, 'supply-events': 0, 'external-events': 0 };
			for (;;) {
				let topic: EventTopic | undefined;
				for (const candidate of eventTopics) {
					const head = buffers[candidate][at[candidate]];
					if (head && (topic === undefined || head.stamp < buffers[topic][at[topic]]!.stamp)) topic = candidate;
				}
				const head = topic === undefined ? undefined : buffers[topic][at[topic]];
				if (topic === undefined || !head || head.stamp > horizon) break;
				asides.push(...finals(head.stamp));
				const beside = await take(topic, head);
				if (beside) asides.push(beside);
				at[topic] += 1;
			}
			for (const topic of eventTopics) buffers[topic].splice(0, at[topic]);
			const all = eventTopics.every((topic) => complete[topic]);
			const now = clock.virtual ? Math.min(...eventTopics.map((topic) => ticks[topic] || progress.as_of)) : wall;
			const reached = all ? now : Math.min(horizon, now);
			asides.push(...finals(reached));
			if (asides.length > 0) await log.append(asides); // before the checkpoint that moves past their records
			if (reached > progress.as_of) {
				progress.as_of = reached;
				for (const [id, { window }] of regions) {
					if (window.held.size === 0) continue;
					// What was held until its time has come changes the region now.
					for (const pane of window.held.keys()) if (pane * 10_000 < reached) dirty.add(id);
				}
			}
			ids.forget(Math.min(...eventTopics.map((topic) => (complete[topic] ? reached : progress.stamps[topic]))) - settle_ms);
			return !all;
		},
		frames(whole) {
			const told = whole ? [...regions.keys()] : [...dirty];
			const minute = Math.floor(progress.as_of / MINUTE_MS) * MINUTE_MS;
			const live: Appended[] = [];
			const rows: Frame['regions'] = [];
			dirty = new Set();
			for (const id of told) {
				const held = regions.get(id);
				const region = catalogue.get(id);
				if (!held || !region) continue;
				advance(held.window, progress.as_of);
				if (!hasEvents(held.window)) continue;
				const values = features(held.window, region, progress.as_of);
				const row: Frame['regions'][number] = { region_id: id, values, busy_drivers: busyDrivers(held.window, progress.as_of) };
				if (!held.usual_week || progress.as_of - held.usual_week.sent_at >= limits.usual_week_ms) {
					const week = usualWeek(held.window, region, progress.as_of);
					const text = JSON.stringify(week);
					if (held.usual_week?.text !== text) row.usual_week = week;
					held.usual_week = { sent_at: progress.as_of, text };
				}
				rows.push(row);
				if (whole && minute > liveMinute && logged(held, minute)) live.push(signal(id, 'live', { as_of: progress.as_of, values }));
			}
			if (whole && minute > liveMinute) {
				liveMinute = minute;
				if (live.length > 0) void log.append(live).catch(() => undefined); // what was served is for training only: a gap there is no loss
			}
			return splitFrames(rows).map((portion, index, portions) => ({
				shard: number,
				epoch,
				seq: ++seq,
				as_of: progress.as_of,
				now: clock.virtual ? progress.as_of : null,
				whole: whole && index === portions.length - 1,
				regions: portion,
			}));
		},
		async pushed(frames, answers) {
			let again = false;
			for (const [index, frame] of frames.entries()) {
				const answer = answers?.[index];
				if (answer?.taken) {
					again ||= answer.whole_wanted;
					continue;
				}
				for (const { region_id, usual_week } of frame.regions) {
					dirty.add(region_id); // stays dirty until a frame with it is acknowledged
					const held = usual_week && regions.get(region_id);
					if (held) held.usual_week = undefined;
				}
				if (answer && answer.error === undefined && (answer.epoch > epoch || (answer.epoch === epoch && answer.seq >= frame.seq))) {
					// This worker claimed the partition, so the Shard's pair is of a store that was restored since: go above it.
					epoch = await checkpoints.raise(number, answer.epoch);
					seq = 0;
					again = true;
				}
			}
			return again;
		},
		async save() {
			if (!moved && unsavedParts.size === 0) return;
			for (const id of unsaved) {
				const held = regions.get(id);
				if (!held) continue;
				const { recent, days } = checkpoint(held.window);
				const merged = new Map([...(unsavedParts.get(id)?.days ?? []), ...days].map((day) => [day.day, day]));
				unsavedParts.set(id, { region_id: id, recent, days: [...merged.values()] });
			}
			unsaved.clear();
			moved = false;
			const forgotten_buckets_below = ids.forget(0);
			try {
				await checkpoints.save(number, {
					epoch,
					progress,
					regions: [...unsavedParts.values()],
					ids: ids.changes(),
					forgotten_buckets_below,
					forgotten_days_below: Math.floor(progress.as_of / DAY_MS) - DAYS_KEPT,
				});
				unsavedParts.clear();
				ids.saved();
			} catch (error) {
				moved = true;
				throw error;
			}
		},
	};
}
