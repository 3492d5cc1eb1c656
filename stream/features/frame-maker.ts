import { busyDrivers, features } from '#models/features/features.ts';
import { advance } from '#models/features/fold.ts';
import { firstHeld } from '#models/features/held.ts';
import { usualWeek } from '#models/features/usual-week.ts';
import { hasEvents } from '#models/features/window.ts';
import type { Frame, FrameAnswer } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import type { Catalogue } from '../catalogue.ts';
import type { Appended } from '../log/event-log.ts';
import { type HeldRegion, isLogged, signalRecord } from './held-region.ts';
import { splitFrames } from './split-frames.ts';

const MINUTE_MS = 60_000;

/** What a Shard has to be told of its partition, and what it has acknowledged. */
export interface FrameMaker {
	/** Whether regions changed that the Shard has not acknowledged. */
	readonly dirty: boolean;
	/** The instant at which something that is held becomes visible; Infinity for none. */
	readonly held_until: number;
	/** A region's window changed. */
	changed(regionId: string): void;
	/** The fold stands at `as_of`, milliseconds: what was held until then becomes visible. */
	reach(as_of: number): void;
	/** Frames as of `as_of` with what changed, or with every region, numbered from 1 on in each epoch. */
	frames(whole: boolean, at: { epoch: number; as_of: number }): Frame[];
	/**
	 * Tells what came back for frames; without answers nothing counts as told. `taken`: all of them; `whole_wanted`: a whole push should follow; `above`: the
	 * highest epoch of those that made the Shard refuse one as old, -1 for none.
	 */
	pushed(frames: readonly Frame[], answers: readonly FrameAnswer[] | undefined): { taken: boolean; whole_wanted: boolean; above: number };
}

/**
 * Makes the frames of partition `number` for its Shard.
 * @param options.regions what the worker holds, by id: read, and their usual weeks marked as sent.
 * @param options.log takes the vectors that were served, for training only: a gap there is no loss.
 */
export function frameMaker(
	number: number,
	options: { regions: ReadonlyMap<string, HeldRegion>; catalogue: Catalogue; virtual: boolean; log: (live: Appended[]) => void },
): FrameMaker {
	const { regions, catalogue, virtual, log } = options;
	let dirty = new Set<string>(regions.keys());
	/** Regions that hold events of the future, and when the next of them is due. */
	const waiting = new Map<string, number>();
	let liveMinute = 0;
	let numbered = { epoch: -1, seq: 0 };

	/** A region's row in a frame; undefined before it has events. */
	function row(id: string, held: HeldRegion, as_of: number): Frame['regions'][number] | undefined {
		const region = catalogue.get(id);
		if (!region) return undefined;
		const { window } = held;
		advance(window, as_of);
		const due = firstHeld(window.held);
		if (due < Number.POSITIVE_INFINITY) waiting.set(id, due);
		if (!hasEvents(window)) return undefined;
		const made: Frame['regions'][number] = { region_id: id, values: features(window, region, as_of), busy_drivers: busyDrivers(window, as_of) };
		if (!held.usual_week || as_of - held.usual_week.sent_at >= limits.usual_week_ms) {
			const week = usualWeek(window, region, as_of);
			const text = JSON.stringify(week);
			if (held.usual_week?.text !== text) made.usual_week = week;
			held.usual_week = { sent_at: as_of, text };
		}
		return made;
	}

	/** Sends the week of a region again, with its next row. */
	function forgetWeek(regionId: string): void {
		const held = regions.get(regionId);
		if (held) held.usual_week = undefined;
	}

	return {
		get dirty() {
			return dirty.size > 0;
		},
		get held_until() {
			return Math.min(Number.POSITIVE_INFINITY, ...waiting.values());
		},
		changed: (regionId) => void dirty.add(regionId),
		reach(as_of) {
			for (const [id, due] of waiting) {
				if (due >= as_of) continue;
				waiting.delete(id);
				dirty.add(id);
			}
		},
		frames(whole, { epoch, as_of }) {
			const minute = Math.floor(as_of / MINUTE_MS) * MINUTE_MS;
			const live: Appended[] | undefined = whole && minute > liveMinute ? [] : undefined;
			const rows: Frame['regions'] = [];
			for (const id of whole ? regions.keys() : dirty) {
				const held = regions.get(id);
				const made = held && row(id, held, as_of);
				if (!made) continue;
				rows.push(made);
				if (live && isLogged(held, minute)) live.push(signalRecord(id, { partition: number, kind: 'live', as_of, values: made.values }));
			}
			dirty = new Set();
			if (live) {
				liveMinute = minute;
				log(live);
			}
			if (numbered.epoch !== epoch) numbered = { epoch, seq: 0 };
			return splitFrames(rows).map((portion, index, portions) => ({
				shard: number,
				epoch,
				seq: ++numbered.seq,
				as_of,
				now: virtual ? as_of : null,
				whole: whole && index === portions.length - 1,
				regions: portion,
			}));
		},
		pushed(frames, answers) {
			let taken = true;
			let whole_wanted = false;
			let above = -1;
			for (const [index, frame] of frames.entries()) {
				const answer = answers?.[index];
				if (answer?.taken) {
					// A week that found no entry is sent again with the next confirmation.
					for (const id of answer.unknown) forgetWeek(id);
					whole_wanted ||= answer.whole_wanted;
					continue;
				}
				taken = false;
				for (const { region_id, usual_week } of frame.regions) {
					dirty.add(region_id);
					if (usual_week) forgetWeek(region_id);
				}
				if (answer && answer.error === undefined && (answer.epoch > frame.epoch || (answer.epoch === frame.epoch && answer.seq >= frame.seq)))
					above = Math.max(above, answer.epoch);
			}
			// A Shard that lost its memory lost the weeks too.
			if (whole_wanted) for (const id of regions.keys()) forgetWeek(id);
			return { taken, whole_wanted, above };
		},
	};
}
