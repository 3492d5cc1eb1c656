import type { Event } from '#schemas/event.ts';
import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import type { Announcement } from './city-events.ts';
import { fold } from './fold.ts';
import { eachHeld, holdUser } from './held.ts';
import type { Dated } from './history.ts';
import { KINDS, type Kind, movePanes, type Panes } from './panes.ts';
import { addToQuarter, moveQuarters, QUARTERS_A_DAY, sumQuarters } from './quarters.ts';
import type { Reading } from './readings.ts';
import { addSupply, advanceSupply, type SupplyEntry, stand } from './supply.ts';
import { emptyWindow, type RegionWindow } from './window.ts';

// The form, by which a restored window is told apart from one of another release. Raise it with every change of what follows.
const FORM = 1;

/** `days` are only those whose bookings changed since the last checkpoint, by UTC day number; `recent` is everything else. */
export interface WindowCheckpoint {
	recent: Uint8Array;
	days: { day: number; counts: Uint8Array }[];
}

const writer = new ByteWriter();

function writePanes({ counts, size, head }: Panes): void {
	writer.number(head);
	const inOrder = new Uint32Array(size);
	for (let kind = 0; kind < KINDS; kind++) {
		// The ring from its oldest pane, one after the head, round to the head.
		const oldest = (head + 1) % size;
		inOrder.set(counts.subarray(kind * size + oldest, (kind + 1) * size));
		inOrder.set(counts.subarray(kind * size, kind * size + oldest), size - oldest);
		writer.counts(inOrder);
	}
}

/** The panes may be fewer or more now: the lateness can have changed. */
function readPanes(reader: ByteReader, panes: Panes): void {
	const head = reader.number();
	for (let kind = 0; kind < KINDS; kind++) {
		const counts = reader.counts();
		const skip = Math.max(0, counts.length - panes.size);
		for (let i = skip; i < counts.length; i++) {
			const pane = head - counts.length + 1 + i;
			if (pane >= 0) panes.counts[kind * panes.size + (pane % panes.size)] = counts[i]!;
		}
	}
}

/** Entries in (at, id) order: times as the distance from the one before, ids without the beginning they share with it. */
function writeDated<T extends Dated>(list: readonly T[], write: (entry: T) => void): void {
	writer.number(list.length);
	let at = 0;
	let id = '';
	for (const entry of list) {
		writer.number(entry.at - at);
		let shared = 0;
		while (shared < id.length && id.charCodeAt(shared) === entry.id.charCodeAt(shared)) shared++;
		writer.number(shared);
		writer.string(entry.id.slice(shared));
		at = entry.at;
		id = entry.id;
		write(entry);
	}
}

function readDated<T extends Dated>(reader: ByteReader, read: (dated: Dated) => T): T[] {
	let at = 0;
	let id = '';
	return Array.from({ length: reader.number() }, () => {
		at += reader.number();
		id = id.slice(0, reader.number()) + reader.string();
		return read({ at, id });
	});
}

function writeReading({ first, second }: Reading): void {
	writer.double(first);
	writer.double(second);
}
const readReading = (reader: ByteReader) => (dated: Dated) => ({ ...dated, first: reader.double(), second: reader.double() });

function writeAnnouncement({ name, starts_at, ends_at }: Announcement): void {
	writer.string(name);
	writer.double(starts_at);
	writer.double(ends_at);
}
const readAnnouncement = (reader: ByteReader) => (dated: Dated) => ({
	...dated,
	name: reader.string(),
	starts_at: reader.double(),
	ends_at: reader.double(),
});

/** A driver is written once, then by number; a snapshot as driver 0. */
function supplyWriter(): (entry: SupplyEntry) => void {
	const numbers = new Map<string, number>();
	return ({ driver, available, busy }) => {
		if (driver === null) {
			writer.number(0);
			writer.number(available);
			writer.number(busy);
			return;
		}
		const number = numbers.get(driver);
		writer.number((number ?? numbers.size) * 4 + (available ? 1 : busy ? 2 : 3));
		if (number !== undefined) return;
		numbers.set(driver, numbers.size);
		writer.string(driver);
	};
}

function supplyReader(reader: ByteReader): (dated: Dated) => SupplyEntry {
	const drivers: string[] = [];
	return (dated) => {
		const code = reader.number();
		if (code === 0) return { ...dated, driver: null, available: reader.number(), busy: reader.number() };
		const number = Math.floor(code / 4);
		if (number === drivers.length) drivers.push(reader.string());
		return { ...dated, driver: drivers[number]!, available: code % 4 === 1 ? 1 : 0, busy: code % 4 === 2 ? 1 : 0 };
	};
}

/** Ids of the base settle nothing any more: whatever still comes happened later. */
const settled = (entry: SupplyEntry): SupplyEntry => ({ ...entry, id: '' });

function writeSupply({ supply }: RegionWindow): void {
	const write = supplyWriter();
	const { base, since } = supply;
	const drivers = [...base.drivers.values()].map(settled).sort((a, b) => a.at - b.at);
	writer.double(base.last);
	writeDated(base.snapshot === null ? [] : [settled(base.snapshot)], write);
	writeDated(drivers, write);
	writeDated(since, write);
}

function readSupply(reader: ByteReader, { supply, as_of }: RegionWindow): void {
	const read = supplyReader(reader);
	const last = reader.double();
	for (const entry of [...readDated(reader, read), ...readDated(reader, read)]) {
		// A driver of the snapshot's own millisecond was after it, or it would not have been kept.
		const fact = entry.driver === null ? entry : { ...entry, id: '\0' };
		stand(supply.base, fact);
		stand(supply.live, fact);
	}
	supply.base.last = last;
	supply.live.last = last;
	for (const entry of readDated(reader, read)) addSupply(supply, entry);
	advanceSupply(supply, as_of);
}

/** A held event: user events as type and time only, which is all that counts of them; the others as JSON, there are few. */
function writeHeld({ held }: RegionWindow): void {
	let count = 0;
	const counter = () => void count++;
	eachHeld(held, { user: counter, other: counter });
	writer.number(count);
	eachHeld(held, {
		user(kind, at) {
			writer.number(kind + 1);
			writer.number(at);
		},
		other(event) {
			writer.number(0);
			writer.string(JSON.stringify(event));
		},
	});
}

function readHeld(reader: ByteReader, window: RegionWindow): void {
	for (let left = reader.number(); left > 0; left--) {
		const type = reader.number();
		if (type === 0) fold(window, JSON.parse(reader.string()) as Event);
		else holdUser(window.held, (type - 1) as Kind, reader.number());
	}
}

/**
 * What has to be stored so that restoreWindow() can make this window again: keep the last `recent` and of each day the last counts. Days that
 * are handed out count as stored: a caller that fails to store them has to keep them for the next time.
 */
export function checkpoint(window: RegionWindow): WindowCheckpoint {
	const days = [...window.dirty].map((day) => {
		const counts = new Uint32Array(QUARTERS_A_DAY);
		for (let i = 0; i < QUARTERS_A_DAY; i++) {
			const quarter = day * QUARTERS_A_DAY + i;
			counts[i] = sumQuarters(window.quarters, quarter, quarter + 1);
		}
		writer.counts(counts);
		return { day, counts: writer.take() };
	});
	window.dirty.clear();
	window.dirtied = -1;

	writer.number(FORM);
	writer.double(window.lateness_ms);
	writer.double(window.as_of);
	writer.double(window.first_user);
	writer.double(window.first_any);
	writer.double(window.horizon);
	writePanes(window.seconds);
	writePanes(window.tens);
	writeSupply(window);
	writeDated(window.weather, writeReading);
	writeDated(window.traffic, writeReading);
	writeDated(window.city, writeAnnouncement);
	writeHeld(window);
	return { recent: writer.take(), days };
}

/**
 * The window that was checkpointed: it behaves as the original would. `days`: the last stored counts of every day, in any order; those that
 * have become too old are ignored. `lateness_ms`: when the configuration has changed since. Throws Error for bytes of another form.
 */
export function restoreWindow({ recent, days, lateness_ms }: WindowCheckpoint & { lateness_ms?: number }): RegionWindow {
	const reader = new ByteReader(recent);
	const form = reader.number();
	if (form !== FORM) throw new Error(`Cannot restore a window: its form is ${form}, this release reads ${FORM}`);
	const lateness = reader.double();
	const window = emptyWindow({ lateness_ms: lateness_ms ?? lateness });
	window.as_of = reader.double();
	window.first_user = reader.double();
	window.first_any = reader.double();
	window.horizon = reader.double();
	movePanes(window.seconds, window.as_of);
	movePanes(window.tens, window.as_of);
	moveQuarters(window.quarters, window.as_of);
	readPanes(reader, window.seconds);
	readPanes(reader, window.tens);
	readSupply(reader, window);
	window.weather.push(...readDated(reader, readReading(reader)));
	window.traffic.push(...readDated(reader, readReading(reader)));
	window.city.push(...readDated(reader, readAnnouncement(reader)));
	readHeld(reader, window);
	for (const { day, counts } of days) {
		new ByteReader(counts).counts().forEach((bookings, i) => {
			if (bookings > 0) addToQuarter(window.quarters, day * QUARTERS_A_DAY + i, bookings);
		});
	}
	return window;
}
