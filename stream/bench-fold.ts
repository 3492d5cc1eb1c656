import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Event } from '#schemas/event.ts';
import { partition } from '#schemas/partition.ts';
import type { Region } from '#schemas/region.ts';
import { encodeEvent } from './avro/codec.ts';
import type { Catalogue } from './catalogue.ts';
import { openPartitionWorker } from './features/partition-worker.ts';
import { openEmbeddedLog } from './log/embedded-log.ts';

const PARTITIONS = 8;
/** Looks between two checkpoints: 5 s of a full core would be hundreds, so this is dearer than the product. */
const LOOKS_A_SAVE = 50;
const START = Date.UTC(2026, 0, 11, 10);

export interface FoldFigures {
	events: number;
	regions: number;
	/** Read, checked, decoded, deduplicated, folded, finals made and appended, checkpointed: by process.cpuUsage(), user and system. */
	events_per_cpu_second: number;
	/** Encoded and appended, a thousand a call. */
	appends_per_cpu_second: number;
	finals: number;
}

/** How fast the feature worker catches up: `events` of an hour of a city (bookings mostly) over `regions`, from a fresh embedded log. */
export async function benchFold({ events, regions }: { events: number; regions: number }): Promise<FoldFigures> {
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-bench-'));
	const log = openEmbeddedLog(directory, { partitions: PARTITIONS });
	try {
		const entries = new Map(Array.from({ length: regions }, (_, i) => [`r-${i}`, entry(`r-${i}`)]));
		const catalogue: Catalogue = {
			get: (id) => entries.get(id),
			all: () => entries.values(),
			behind: () => [],
			refresh: async () => undefined,
			start: () => undefined,
			stop: () => undefined,
		};
		const ids = [...entries.keys()];
		const types = ['booking', 'booking', 'booking', 'search', 'search', 'cancel'] as const;
		const appending = process.cpuUsage();
		for (let at = 0; at < events; at += 1000) {
			await log.append(
				Array.from({ length: Math.min(1000, events - at) }, (_, i) => {
					const n = at + i;
					const stamp = START + Math.floor((n / events) * 3_600_000);
					const region_id = ids[(n * 7919) % ids.length]!;
					const event: Event = {
						event_id: `0199c0de-7e57-7000-8000-${n.toString(16).padStart(12, '0')}`,
						event_type: types[n % types.length]!,
						region_id,
						timestamp: stamp - ((n * 31) % 4000),
						ingested_at: stamp,
						user_hash: null,
						product_type: 'standard_ride',
						metadata: null,
					};
					return { topic: 'user-events', partition: partition(region_id, PARTITIONS), key: region_id, value: encodeEvent(event), timestamp: stamp };
				}),
			);
		}
		const appended = process.cpuUsage(appending);
		const counts = { folded: 0, duplicates: 0, late: 0, dead: 0, finals: 0 };
		const clock = { now: () => START + 3_600_000, virtual: false };
		const folding = process.cpuUsage();
		for (let number = 0; number < PARTITIONS; number++) {
			const worker = await openPartitionWorker(number, { log, checkpoints: log.checkpoints, catalogue, clock, lateness_ms: 600_000, counts });
			for (let looks = 1; await worker.look(); looks++) if (looks % LOOKS_A_SAVE === 0) await worker.save();
			await worker.save();
		}
		const folded = process.cpuUsage(folding);
		if (counts.folded !== events) throw new Error(`Cannot trust this run: ${counts.folded} of ${events} events were folded`);
		const rate = ({ user, system }: NodeJS.CpuUsage) => Math.round(events / ((user + system) / 1e6));
		return { events, regions, events_per_cpu_second: rate(folded), appends_per_cpu_second: rate(appended), finals: counts.finals };
	} finally {
		await log.close();
		rmSync(directory, { recursive: true, force: true });
	}
}

function entry(region_id: string): Region {
	const rest = { rule_set: 'city', location_hint: null, neighbours: [], profile: null, minutes_per_booking: 20, holidays: null, holiday_dates: [] };
	return { region_id, name: region_id, time_zone: 'America/New_York', ...rest, frozen: false, version: 1 };
}
