import type { Event, EventType } from '#schemas/event.ts';
import { BOOKING, CANCEL, KINDS, type Kind, SEARCH } from './panes.ts';

const PANE_MS = 10_000;

/** What happened in ten seconds. Of a user's event only kind and time count, so nothing else of it is kept: `time * KINDS + kind`, a safe integer. */
interface Pane {
	users: number[];
	others: Event[];
}

/** Events from as_of on, until as_of passes them. */
export interface Held {
	readonly panes: Map<number, Pane>;
	/** Where the last one went: the next one goes there, too, as a rule. */
	last: { number: number; pane: Pane };
}

export const emptyHeld = (): Held => ({ panes: new Map(), last: { number: -1, pane: { users: [], others: [] } } });

const kinds: Partial<Record<EventType, Kind>> = { booking: BOOKING, search: SEARCH, cancel: CANCEL };

/** The kind of a user's event; undefined for those of drivers and of the city. */
export const kindOf = (event: Event): Kind | undefined => kinds[event.event_type];

function paneAt(held: Held, at: number): Pane {
	const number = Math.floor(at / PANE_MS);
	if (held.last.number !== number) {
		const pane = held.panes.get(number) ?? { users: [], others: [] };
		held.panes.set(number, pane);
		held.last = { number, pane };
	}
	return held.last.pane;
}

export function holdUser(held: Held, kind: Kind, at: number): void {
	paneAt(held, at).users.push(at * KINDS + kind);
}
export function holdOther(held: Held, event: Event): void {
	paneAt(held, event.timestamp).others.push(event);
}

/** Whoever gets what was held. */
interface Takers {
	user: (kind: Kind, at: number) => void;
	other: (event: Event) => void;
}

const give = (packed: number, { user }: Takers): void => user((packed % KINDS) as Kind, Math.floor(packed / KINDS));

/** Hands over what happened before `as_of`, and forgets it. */
export function release(held: Held, as_of: number, takers: Takers): void {
	for (const [number, pane] of held.panes) {
		if (number * PANE_MS >= as_of) continue;
		let kept = 0;
		for (const packed of pane.users) {
			if (packed < as_of * KINDS) give(packed, takers);
			else pane.users[kept++] = packed;
		}
		pane.users.length = kept;
		if (pane.others.length > 0) {
			for (const event of pane.others) if (event.timestamp < as_of) takers.other(event);
			pane.others = pane.others.filter(({ timestamp }) => timestamp >= as_of);
		}
		if (kept > 0 || pane.others.length > 0) continue;
		held.panes.delete(number);
		if (held.last.number === number) held.last = emptyHeld().last;
	}
}

/** Looks at all that is held. */
export function eachHeld(held: Held, takers: Takers): void {
	for (const { users, others } of held.panes.values()) {
		for (const packed of users) give(packed, takers);
		for (const event of others) takers.other(event);
	}
}

/** The instant of the first that is held; Infinity for none. */
export function firstHeld(held: Held): number {
	let first = Number.POSITIVE_INFINITY;
	for (const { users, others } of held.panes.values()) {
		for (const packed of users) first = Math.min(first, Math.floor(packed / KINDS));
		for (const { timestamp } of others) first = Math.min(first, timestamp);
	}
	return first;
}
