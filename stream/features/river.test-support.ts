import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Event, topicOf } from '#schemas/event.ts';
import type { Frame, FrameAnswer } from '#schemas/internal.ts';
import { partition } from '#schemas/partition.ts';
import type { Region } from '#schemas/region.ts';
import type { Topic } from '#schemas/topic.ts';
import { decode, encodeEvent } from '../avro/codec.ts';
import type { Catalogue } from '../catalogue.ts';
import { openEmbeddedLog } from '../log/embedded-log.ts';
import type { Appended, EventLog, StoredRecord } from '../log/event-log.ts';
import type { FrameClient } from './frame-client.ts';

// A river of one or more partitions with everything around it that a test can hold still, break and look at.

export const LATENESS_MS = 600_000;
export const MINUTE = 60_000;
export const PARTITIONS = 1;
/** A Sunday morning; a whole quarter-hour. */
export const START = Date.UTC(2026, 0, 11, 10);

/** A log in a directory of its own. */
export function freshLog(partitions = PARTITIONS) {
	const path = mkdtempSync(join(tmpdir(), 'surgecast-river-'));
	return {
		log: openEmbeddedLog(path, { partitions }),
		path,
		reopen: () => openEmbeddedLog(path, { partitions }),
		remove: () => rmSync(path, { recursive: true, force: true }),
	};
}

export function entry(region_id: string): Region {
	const rest = { rule_set: 'city', location_hint: null, neighbours: [], profile: null, minutes_per_booking: 20, holidays: null, holiday_dates: [] };
	return { region_id, name: region_id, time_zone: 'America/New_York', ...rest, frozen: false, version: 1 };
}

/** A catalogue of these regions; `add` makes one known to the next refresh. */
export function fakeCatalogue(ids: readonly string[]) {
	const known = new Map(ids.map((id) => [id, entry(id)]));
	let stored: Region[] = [];
	const fake: Catalogue & { add(id: string): void; refreshes: number; fail: Error | undefined } = {
		refreshes: 0,
		fail: undefined,
		add(id) {
			stored.push(entry(id));
		},
		get: (id) => known.get(id),
		all: () => known.values(),
		behind: () => [],
		async refresh() {
			fake.refreshes += 1;
			if (fake.fail) throw fake.fail;
			for (const region of stored) known.set(region.region_id, region);
			stored = [];
		},
		start: () => undefined,
		stop: () => undefined,
	};
	return fake;
}

export function settableClock(at: number, virtual = false) {
	const clock = { at, virtual, now: () => clock.at };
	return clock;
}

export function booking(event_id: string, timestamp: number, more: Partial<Event> = {}): Event {
	return {
		event_id,
		event_type: 'booking',
		region_id: 'r-0',
		timestamp,
		ingested_at: timestamp,
		user_hash: null,
		product_type: null,
		metadata: null,
		...more,
	} as Event;
}

export function recordOf(event: Event, partitions = PARTITIONS): Appended {
	return {
		topic: topicOf[event.event_type],
		partition: partition(event.region_id, partitions),
		key: event.region_id,
		value: encodeEvent(event),
		timestamp: event.ingested_at,
	};
}

export async function everything(log: EventLog, topic: Topic, number = 0): Promise<StoredRecord[]> {
	return log.read(topic, number, { offset: await log.start(topic, number), records_max: 1_000_000, bytes_max: 1 << 30 });
}

/** The finals of the log by region and minute, as bytes; a repeated one must be equal. */
export async function finalsOf(log: EventLog, partitions = PARTITIONS): Promise<Map<string, string>> {
	const finals = new Map<string, string>();
	for (let number = 0; number < partitions; number++)
		for (const { value } of await everything(log, 'demand-signals', number)) {
			const decoded = decode(value);
			if (decoded.kind !== 'signal' || decoded.signal.kind !== 'final') continue;
			const at = `${decoded.signal.region_id} ${new Date(decoded.signal.as_of).toISOString()}`;
			const bytes = Buffer.from(value).toString('base64');
			const before = finals.get(at);
			if (before !== undefined && before !== bytes) throw new Error(`The final ${at} was logged twice and differs`);
			finals.set(at, bytes);
		}
	return new Map([...finals].sort());
}

/** Shards that take frames as the edge's do: greater pairs only. */
export function fakeEdge() {
	const shards = new Map<number, { epoch: number; seq: number }>();
	const rows = new Map<string, Frame['regions'][number] & { as_of: number }>();
	const edge: FrameClient & {
		shards: typeof shards;
		/** The last row taken of each region. */
		rows: typeof rows;
		frames: Frame[];
		/** What happens to the next pushes, in order; then all goes well. */
		next: ('down' | 'drop' | 'error' | 'whole_wanted' | 'unknown')[];
		down: boolean;
	} = {
		shards,
		rows,
		frames: [],
		next: [],
		down: false,
		async push(frames) {
			const fate = edge.next.shift();
			if (edge.down || fate === 'down') throw new Error('ECONNREFUSED');
			const answers = frames.map((frame): FrameAnswer => {
				const held = shards.get(frame.shard) ?? { epoch: 0, seq: 0 };
				const answer = { shard: frame.shard, whole_wanted: fate === 'whole_wanted', unknown: [] as string[] };
				if (fate === 'error') return { ...answer, taken: false, epoch: -1, seq: -1, error: 'the object was reset' };
				if (frame.epoch < held.epoch || (frame.epoch === held.epoch && frame.seq <= held.seq)) return { ...answer, taken: false, ...held };
				shards.set(frame.shard, { epoch: frame.epoch, seq: frame.seq });
				edge.frames.push(frame);
				if (fate === 'unknown') return { ...answer, taken: true, epoch: frame.epoch, seq: frame.seq, unknown: frame.regions.map(({ region_id }) => region_id) };
				for (const row of frame.regions) rows.set(row.region_id, { ...rows.get(row.region_id), ...row, as_of: frame.as_of });
				return { ...answer, taken: true, epoch: frame.epoch, seq: frame.seq };
			});
			if (fate === 'drop') throw new Error('timed out'); // taken, but nobody hears of it
			return answers;
		},
	};
	return edge;
}

/** Waits until it holds, with a deadline. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, wait_ms = 20_000): Promise<void> {
	const deadline = Date.now() + wait_ms;
	while (!(await holds())) {
		if (Date.now() > deadline) throw new Error(`${what}: not within ${wait_ms} ms`);
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}
