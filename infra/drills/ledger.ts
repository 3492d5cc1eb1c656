import type { PriceAnswer } from '#schemas/price.ts';

export interface SentEvent {
	event_id: string;
	region_id: string;
	event_type: 'booking' | 'search' | 'cancel';
}

/** One write of a value that later writes replace. Writes of one key follow one another. */
export interface Attempt {
	value: string;
	/** It was answered 2xx. Without an answer it may hold or not. */
	acknowledged: boolean;
}

/** What the clients of the product know: what they sent, and what was answered. */
export interface Ledger {
	/** Every event that was ever sent, by id, and whether it was answered 2xx. */
	events: Map<string, SentEvent & { acknowledged: boolean }>;
	/** Every decision that was answered, and when it was decided, milliseconds: its answer may be read later, even after its process is gone. */
	decisions: { answer: PriceAnswer; at: number }[];
	/** When a process was killed that hands decisions over, and when it was seen to be gone, milliseconds: an orphan answers for a moment longer. */
	kills: { at: number; gone: number }[];
	/** What is never changed after its 2xx: rule sets by version, releases by number, as canonical text. */
	records: Map<string, string>;
	/** What later writes replace: a region's name, a freeze. */
	registers: Map<string, Attempt[]>;
	/** Answers that should not be: a 5xx other than 503, a refused event. */
	unexpected: string[];
}

export const emptyLedger = (): Ledger => ({ events: new Map(), decisions: [], kills: [], records: new Map(), registers: new Map(), unexpected: [] });
