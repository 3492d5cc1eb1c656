import type { DriverStatusEvent, SupplySnapshotEvent } from '#schemas/event.ts';
import { countBefore, type Dated, insert, isAfter } from './history.ts';

/** A driver's last status counts this long. */
const STATUS_MS = 60 * 60_000;
/** Without any supply event for this long nothing is known. */
const SILENCE_MS = 10 * 60_000;

/** A snapshot (driver null) or one driver's status: either way, how many available and busy drivers it stands for. */
export interface SupplyEntry extends Dated {
	driver: string | null;
	available: number;
	busy: number;
}

/** What is known after some entries. The last by (at, id) wins, so that it is the same in whatever order they came. */
export interface Standing {
	snapshot: SupplyEntry | null;
	/** Statuses after the snapshot; offline ones too, so that an older one that comes later does not bring the driver back. */
	drivers: Map<string, SupplyEntry>;
	/** The sums over snapshot and drivers. */
	available: number;
	busy: number;
	/** No driver's status is older. */
	oldest: number;
	/** When the last supply event happened; -Infinity before any. */
	last: number;
}

/** `live` is at as_of. For instants before it: `base`, of entries that no event in time can precede any more, and those since, in order. */
export interface Supply {
	live: Standing;
	base: Standing;
	since: SupplyEntry[];
}

export const emptyStanding = (): Standing => ({
	snapshot: null,
	drivers: new Map(),
	available: 0,
	busy: 0,
	oldest: Number.POSITIVE_INFINITY,
	last: Number.NEGATIVE_INFINITY,
});
export const emptySupply = (): Supply => ({ live: emptyStanding(), base: emptyStanding(), since: [] });

function remove(standing: Standing, entry: SupplyEntry): void {
	standing.drivers.delete(entry.driver!);
	standing.available -= entry.available;
	standing.busy -= entry.busy;
}

export function stand(standing: Standing, entry: SupplyEntry): void {
	if (entry.at > standing.last) standing.last = entry.at;
	const { snapshot, drivers } = standing;
	if (snapshot !== null && !isAfter(entry, snapshot)) return;
	if (entry.driver === null) {
		if (snapshot !== null) {
			standing.available -= snapshot.available;
			standing.busy -= snapshot.busy;
		}
		standing.snapshot = entry;
		for (const known of drivers.values()) if (!isAfter(known, entry)) remove(standing, known);
	} else {
		const known = drivers.get(entry.driver);
		if (known !== undefined) {
			if (!isAfter(entry, known)) return;
			standing.available -= known.available;
			standing.busy -= known.busy;
		}
		drivers.set(entry.driver, entry);
		if (entry.at < standing.oldest) standing.oldest = entry.at;
	}
	standing.available += entry.available;
	standing.busy += entry.busy;
}

function expire(standing: Standing, at: number): void {
	const edge = at - STATUS_MS;
	if (standing.oldest >= edge) return;
	let oldest = Number.POSITIVE_INFINITY;
	for (const entry of standing.drivers.values()) {
		if (entry.at < edge) remove(standing, entry);
		else if (entry.at < oldest) oldest = entry.at;
	}
	standing.oldest = oldest;
}

export function supplyEntry(event: DriverStatusEvent | SupplySnapshotEvent): SupplyEntry {
	return event.event_type === 'supply_snapshot'
		? { at: event.timestamp, id: event.event_id, driver: null, available: event.available_drivers, busy: event.busy_drivers }
		: {
				at: event.timestamp,
				id: event.event_id,
				driver: event.driver_hash,
				available: event.status === 'available' ? 1 : 0,
				busy: event.status === 'busy' ? 1 : 0,
			};
}

export function addSupply(supply: Supply, entry: SupplyEntry): void {
	insert(supply.since, entry);
	stand(supply.live, entry);
}

export function advanceSupply(supply: Supply, as_of: number): void {
	expire(supply.live, as_of);
}

/** Folds what happened before `horizon` into the base. */
export function settleSupply(supply: Supply, horizon: number): void {
	const settled = countBefore(supply.since, horizon);
	for (let i = 0; i < settled; i++) stand(supply.base, supply.since[i]!);
	if (settled > 0) supply.since.splice(0, settled);
	expire(supply.base, horizon);
}

export interface SupplyCounts {
	available: number;
	busy: number;
}

/** The counts at as_of; null without any supply event in the 10 minutes before. */
export function liveSupply({ live }: Supply, as_of: number): SupplyCounts | null {
	return live.last < as_of - SILENCE_MS ? null : live;
}

/** The counts of an instant before as_of, from what happened before it. */
export function pastSupply({ base, since }: Supply, at: number): SupplyCounts | null {
	const count = countBefore(since, at);
	if ((count > 0 ? since[count - 1]!.at : base.last) < at - SILENCE_MS) return null;
	const edge = at - STATUS_MS;
	const seen = new Set<string>();
	let available = 0;
	let busy = 0;
	const add = (entry: SupplyEntry) => {
		available += entry.available;
		busy += entry.busy;
	};
	for (let i = count - 1; i >= 0; i--) {
		const entry = since[i]!;
		if (entry.driver === null) {
			add(entry);
			return { available, busy };
		}
		if (seen.has(entry.driver)) continue;
		seen.add(entry.driver);
		if (entry.at >= edge) add(entry);
	}
	for (const entry of base.drivers.values()) if (entry.at >= edge && !seen.has(entry.driver!)) add(entry);
	if (base.snapshot !== null) add(base.snapshot);
	return { available, busy };
}
