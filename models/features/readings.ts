import { countBefore, type Dated } from './history.ts';

/** A reading counts this long. */
const READING_MS = 3 * 3_600_000;

/** Weather: temperature (C) and precipitation (mm/h). Traffic: the index, twice nothing. */
export interface Reading extends Dated {
	first: number;
	second: number;
}

/** The last reading before this instant, unless it is older than three hours. */
export function readingAt(readings: readonly Reading[], at: number): Reading | null {
	const count = countBefore(readings, at);
	const last = count > 0 ? readings[count - 1]! : null;
	return last !== null && last.at >= at - READING_MS ? last : null;
}

/** Forgets the readings that no instant from `horizon` on can ask for. */
export function settleReadings(readings: Reading[], horizon: number): void {
	const settled = countBefore(readings, horizon);
	if (settled > 1) readings.splice(0, settled - 1);
}
