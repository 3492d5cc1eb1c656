import type { RegionWindow } from '#models/features/window.ts';
import { FEATURE_SET, type FeatureVector } from '#schemas/feature.ts';
import { encodeSignal } from '../avro/codec.ts';
import type { Appended } from '../log/event-log.ts';
import type { ActiveMinutes } from './active-minutes.ts';

const HOUR_MS = 3_600_000;
const QUARTER_HOUR_MS = HOUR_MS / 4;

/** A region as its partition's worker holds it. */
export interface HeldRegion {
	window: RegionWindow;
	/** Decides how often its vectors are logged. */
	active: ActiveMinutes;
	/** The week that its Shard was sent last, as text, and as of when. */
	usual_week: { sent_at: number; text: string } | undefined;
}

/** Vectors are logged every minute where something happened within the hour before, else every quarter-hour. */
export const isLogged = ({ active }: HeldRegion, minute: number): boolean => minute % QUARTER_HOUR_MS === 0 || active.any(minute - HOUR_MS, minute);

/** A vector as topic demand-signals takes it. */
export function signalRecord(region_id: string, of: { partition: number; kind: 'live' | 'final'; as_of: number; values: FeatureVector }): Appended {
	const { partition, kind, as_of, values } = of;
	const value = encodeSignal({ region_id, kind, feature_set: FEATURE_SET, as_of, values });
	return { topic: 'demand-signals', partition, key: region_id, value, timestamp: as_of };
}
