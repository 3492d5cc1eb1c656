/** The three kinds that are counted by panes. */
export const BOOKING = 0;
export const SEARCH = 1;
export const CANCEL = 2;
export type Kind = typeof BOOKING | typeof SEARCH | typeof CANCEL;
export const KINDS = 3;

/** Counts by kind and pane (absolute number = instant / width), for the `size` panes up to `head`. */
export interface Panes {
	readonly width_ms: number;
	readonly size: number;
	/** Kind after kind; pane p of a kind stands at p mod size. */
	readonly counts: Uint32Array;
	/** The pane that holds as_of. */
	head: number;
}

/** Panes of `width_ms` over at least `span_ms` before as_of, whose own pane and whose old edge's pane are both only partly inside. */
export function emptyPanes(width_ms: number, span_ms: number): Panes {
	const size = Math.ceil(span_ms / width_ms) + 1;
	return { width_ms, size, counts: new Uint32Array(KINDS * size), head: 0 };
}

/** Moves the head to the pane of this instant and forgets what falls out. */
export function movePanes(panes: Panes, as_of: number): void {
	const head = Math.floor(as_of / panes.width_ms);
	if (head === panes.head) return;
	const { counts, size } = panes;
	if (head - panes.head >= size) counts.fill(0);
	else {
		for (let pane = panes.head + 1; pane <= head; pane++) {
			const slot = pane % size;
			counts[slot] = 0;
			counts[slot + size] = 0;
			counts[slot + 2 * size] = 0;
		}
	}
	panes.head = head;
}

/** Counts one event; what is older than the panes is none of theirs. */
export function addToPanes(panes: Panes, kind: Kind, at: number): void {
	const pane = Math.floor(at / panes.width_ms);
	if (pane > panes.head - panes.size && pane <= panes.head) {
		const slot = kind * panes.size + (pane % panes.size);
		panes.counts[slot] = panes.counts[slot]! + 1;
	}
}

/** The count in the panes that begin in [from, to). Their edges are the caller's business. */
export function sumPanes(panes: Panes, kind: Kind, { from, to }: { from: number; to: number }): number {
	const { counts, size, width_ms, head } = panes;
	const first = Math.max(Math.floor(from / width_ms), head - size + 1, 0);
	const end = Math.min(Math.ceil(to / width_ms), head + 1);
	const base = kind * size;
	let slot = first % size;
	let sum = 0;
	for (let pane = first; pane < end; pane++) {
		sum += counts[base + slot]!;
		if (++slot === size) slot = 0;
	}
	return sum;
}

/** As sumPanes, each pane weighted exp(-(to - its start) / tau_ms). */
export function decayPanes(panes: Panes, kind: Kind, { from, to, tau_ms }: { from: number; to: number; tau_ms: number }): number {
	const { counts, size, width_ms, head } = panes;
	const first = Math.max(Math.floor(from / width_ms), head - size + 1, 0);
	const end = Math.min(Math.ceil(to / width_ms), head + 1);
	if (end <= first) return 0;
	// Horner's scheme: one exponential for all panes.
	const step = Math.exp(-width_ms / tau_ms);
	const base = kind * size;
	let slot = first % size;
	let sum = 0;
	for (let pane = first; pane < end; pane++) {
		sum = sum * step + counts[base + slot]!;
		if (++slot === size) slot = 0;
	}
	return sum * Math.exp(-(to - (end - 1) * width_ms) / tau_ms);
}
