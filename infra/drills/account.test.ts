import { describe, expect, test } from 'vitest';
import type { PriceAnswer } from '#schemas/price.ts';
import { account, counter, type Found } from './account.ts';
import { emptyLedger, type Ledger, type SentEvent } from './ledger.ts';

const answer = (decision_id: string, price = 12): PriceAnswer => ({ decision_id, price }) as PriceAnswer;

/** What was sent and acknowledged, and a product that has all of it once. */
function whole(): { ledger: Ledger; found: Found & { logged: Set<string>; counted: Map<string, number>; decisions: Map<string, PriceAnswer[]> } } {
	const ledger = emptyLedger();
	const send = (event_id: string, event_type: SentEvent['event_type'], acknowledged = true) =>
		ledger.events.set(event_id, { event_id, region_id: 'a', event_type, acknowledged });
	send('b-1', 'booking');
	send('b-2', 'booking');
	send('b-3', 'booking', false);
	send('s-1', 'search');
	send('c-1', 'cancel');
	ledger.decisions.push({ answer: answer('d-1'), at: 10_000 }, { answer: answer('d-2'), at: 19_500 });
	ledger.kills.push({ at: 20_000, gone: 20_100 });
	ledger.records.set('rule set 2', 'text');
	ledger.registers.set('name of a', [
		{ value: 'one', acknowledged: true },
		{ value: 'two', acknowledged: true },
		{ value: 'three', acknowledged: false },
	]);
	return {
		ledger,
		found: {
			logged: new Set(['b-1', 'b-2', 'b-3', 's-1', 'c-1']),
			counted: new Map([
				[counter('a', 'booking'), 3],
				[counter('a', 'search'), 1],
			]),
			decisions: new Map([
				['d-1', [answer('d-1')]],
				['d-2', [answer('d-2')]],
			]),
			records: new Map([['rule set 2', 'text']]),
			registers: new Map([['name of a', 'three']]),
		},
	};
}

test('account() of a product that has everything once is clean, and an event without an answer may be there or not', () => {
	const { ledger, found } = whole();
	expect(account(ledger, found)).toEqual({ lost: [], doubled: [], lost_with_isolate: 0, compared: { events: 5, decisions: 2, records: 1, registers: 1 } });
	found.counted.set(counter('a', 'booking'), 2);
	found.logged.delete('b-3');
	expect(account(ledger, { ...found, registers: new Map([['name of a', 'two']]) })).toMatchObject({ lost: [], doubled: [] });
});

describe('account() finds a planted loss', () => {
	test.each<[string, (planted: ReturnType<typeof whole>) => void, RegExp]>([
		['of a counted booking', ({ found }) => found.counted.set(counter('a', 'booking'), 1), /^1 of 2 bookings of a are not in the finals$/],
		['of all searches', ({ found }) => found.counted.delete(counter('a', 'search')), /^1 of 1 searches of a/],
		['of an event in the log', ({ found }) => found.logged.delete('c-1'), /^event c-1 is not in the log$/],
		['of a decision', ({ found }) => found.decisions.delete('d-1'), /^decision d-1 of 1970-01-01T00:00:10.000Z is not stored$/],
		[
			'of a decision long before the kill',
			({ ledger, found }) => {
				found.decisions.delete('d-2');
				ledger.kills[0] = { at: 22_000, gone: 22_100 };
			},
			/^decision d-2/,
		],
		['of what a decision said', ({ found }) => found.decisions.set('d-1', [answer('d-1', 13)]), /^decision d-1 is stored with another answer$/],
		['of a rule set', ({ found }) => (found.records as Map<string, string>).clear(), /^rule set 2 is not there, not text$/],
		['of a write', ({ found }) => (found.registers as Map<string, string>).set('name of a', 'one'), /^name of a is one, not two$/],
		['of a region', ({ found }) => (found.registers as Map<string, string>).clear(), /^name of a is not there, not two$/],
	])('%s', (_, plant, words) => {
		const planted = whole();
		plant(planted);
		const { lost, doubled } = account(planted.ledger, planted.found);
		expect(lost).toEqual([expect.stringMatching(words)]);
		expect(doubled).toEqual([]);
	});
});

describe('account() finds a planted double', () => {
	test.each<[string, (planted: ReturnType<typeof whole>) => void, RegExp]>([
		['of a booking', ({ found }) => found.counted.set(counter('a', 'booking'), 4), /^1 bookings of a more in the finals than the 3 that were sent$/],
		['of a search', ({ found }) => found.counted.set(counter('a', 'search'), 3), /^2 searches of a more/],
		['of a decision', ({ found }) => found.decisions.set('d-2', [answer('d-2'), answer('d-2')]), /^decision d-2 is stored 2 times$/],
	])('%s', (_, plant, words) => {
		const planted = whole();
		plant(planted);
		const { lost, doubled } = account(planted.ledger, planted.found);
		expect(lost).toEqual([]);
		expect(doubled).toEqual([expect.stringMatching(words)]);
	});
});

test('account() counts a decision that was answered around a kill and is not there apart', () => {
	const { ledger, found } = whole();
	found.decisions.delete('d-2');
	expect(account(ledger, found)).toMatchObject({ lost: [], lost_with_isolate: 1 });
});
