export const QUARTER_MS = 15 * 60_000;
export const QUARTERS_A_DAY = 96;

/**
 * Bookings by absolute quarter-hour (instant / 15 min), kept as running totals, so that the bookings of any span are one subtraction. Totals
 * wrap at 2^32; differences do not mind.
 */
export interface Quarters {
	/** The bookings up to the end of quarter q stand at q mod length. */
	readonly totals: Uint32Array;
	/** The quarter that holds as_of. */
	head: number;
}

export function emptyQuarters(span_ms: number): Quarters {
	return { totals: new Uint32Array(Math.ceil(span_ms / QUARTER_MS) + 1), head: 0 };
}

export function moveQuarters(quarters: Quarters, as_of: number): void {
	const head = Math.floor(as_of / QUARTER_MS);
	if (head === quarters.head) return;
	const { totals } = quarters;
	const size = totals.length;
	const total = totals[quarters.head % size]!;
	if (head - quarters.head >= size) totals.fill(total);
	else for (let quarter = quarters.head + 1; quarter <= head; quarter++) totals[quarter % size] = total;
	quarters.head = head;
}

/** Adds bookings to a quarter up to the head; what is older than the ring is forgotten. */
export function addToQuarter(quarters: Quarters, quarter: number, bookings = 1): void {
	const { totals, head } = quarters;
	const size = totals.length;
	if (quarter <= head - size) return;
	let slot = quarter % size;
	for (let later = quarter; later <= head; later++) {
		totals[slot] = totals[slot]! + bookings;
		if (++slot === size) slot = 0;
	}
}

/** The running total at the end of this quarter; beyond either end of the ring that of the end. */
function totalAt({ totals, head }: Quarters, quarter: number): number {
	const size = totals.length;
	return totals[(quarter > head ? head : quarter <= head - size ? head - size + 1 : quarter) % size]!;
}

/** The bookings of the quarters [from, to). */
export function sumQuarters(quarters: Quarters, from: number, to: number): number {
	return (totalAt(quarters, to - 1) - totalAt(quarters, from - 1)) >>> 0;
}
