import type { PriceAnswer } from '#schemas/price.ts';
import type { Ledger } from './ledger.ts';

/** What the product has. */
export interface Found {
	/** Ids of the events in the log. */
	logged: ReadonlySet<string>;
	/** Bookings and searches in the finals, by `counter()`. */
	counted: ReadonlyMap<string, number>;
	/** Decisions of the store by id, each as often as it is there. */
	decisions: ReadonlyMap<string, readonly PriceAnswer[]>;
	records: ReadonlyMap<string, string>;
	registers: ReadonlyMap<string, string>;
}

export interface Account {
	/** In words, one a loss. */
	lost: string[];
	doubled: string[];
	/** Decisions that were made within `BATCH_MS` of a kill and are not there: at most one unacknowledged batch an isolate. */
	lost_with_isolate: number;
	compared: { events: number; decisions: number; records: number; registers: number };
}

/** A batch of decisions is in its Outbox by then: what was decided longer before a kill must be stored. */
export const BATCH_MS = 1000;

export const counter = (regionId: string, type: 'booking' | 'search'): string => `${type === 'booking' ? 'bookings' : 'searches'} of ${regionId}`;

/**
 * Compares what was acknowledged with what was found. Events are counted: those acknowledged at least, those sent at most. Of a register the last
 * acknowledged value must hold, or one that was tried after it.
 */
export function account(ledger: Ledger, found: Found): Account {
	const lost: string[] = [];
	const doubled: string[] = [];

	const bounds = new Map<string, { least: number; most: number }>();
	for (const { event_id, region_id, event_type, acknowledged } of ledger.events.values()) {
		if (acknowledged && !found.logged.has(event_id)) lost.push(`event ${event_id} is not in the log`);
		if (event_type === 'cancel') continue; // the finals have cancels as a rate only
		const key = counter(region_id, event_type);
		const { least, most } = bounds.get(key) ?? { least: 0, most: 0 };
		bounds.set(key, { least: least + (acknowledged ? 1 : 0), most: most + 1 });
	}
	for (const [key, { least, most }] of bounds) {
		const counted = found.counted.get(key) ?? 0;
		if (counted < least) lost.push(`${least - counted} of ${least} ${key} are not in the finals`);
		if (counted > most) doubled.push(`${counted - most} ${key} more in the finals than the ${most} that were sent`);
	}

	let lostWithIsolate = 0;
	for (const { answer, at } of ledger.decisions) {
		const stored = found.decisions.get(answer.decision_id) ?? [];
		if (stored.length > 1) doubled.push(`decision ${answer.decision_id} is stored ${stored.length} times`);
		else if (stored.length === 1) {
			if (JSON.stringify(stored[0]) !== JSON.stringify(answer)) lost.push(`decision ${answer.decision_id} is stored with another answer`);
		} else if (ledger.kills.some((kill) => at > kill.at - BATCH_MS && at < kill.gone)) lostWithIsolate += 1;
		else lost.push(`decision ${answer.decision_id} of ${new Date(at).toISOString()} is not stored`);
	}

	for (const [key, value] of ledger.records)
		if (found.records.get(key) !== value) lost.push(`${key} is ${found.records.get(key) ?? 'not there'}, not ${value}`);
	for (const [key, attempts] of ledger.registers) {
		const last = attempts.findLastIndex(({ acknowledged }) => acknowledged);
		if (last < 0) continue;
		const value = found.registers.get(key);
		if (!attempts.slice(last).some((attempt) => attempt.value === value)) lost.push(`${key} is ${value ?? 'not there'}, not ${attempts[last]?.value}`);
	}
	return {
		lost,
		doubled,
		lost_with_isolate: lostWithIsolate,
		compared: { events: ledger.events.size, decisions: ledger.decisions.length, records: ledger.records.size, registers: ledger.registers.size },
	};
}
