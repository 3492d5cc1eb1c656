import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ActiveMinutes } from './active-minutes.ts';

const MINUTE = 60_000;
const SPAN = 80 * MINUTE;

test('any() answers for the span as a list of all events would, in whatever order they came, and after a restart', () => {
	fc.assert(
		fc.property(fc.array(fc.integer({ min: 1000 * MINUTE, max: 1075 * MINUTE }), { maxLength: 50 }), fc.integer({ min: 1060, max: 1075 }), (events, minute) => {
			const active = new ActiveMinutes(SPAN);
			for (const at of events) active.add(at);
			const [from, to] = [(minute - 60) * MINUTE, minute * MINUTE];
			const expected = events.some((at) => at >= from && at < to);
			expect(active.any(from, to)).toBe(expected);
			expect(new ActiveMinutes(SPAN, active.bytes()).any(from, to)).toBe(expected);
			expect(new ActiveMinutes(SPAN * 2, active.bytes()).any(from, to)).toBe(expected);
		}),
	);
});

test('any() does not find what is older than the span', () => {
	const active = new ActiveMinutes(SPAN);
	active.add(1000 * MINUTE);
	active.add(1200 * MINUTE);
	active.add(1000 * MINUTE);
	expect(active.any(1140 * MINUTE, 1200 * MINUTE)).toBe(false);
	expect(active.any(1141 * MINUTE, 1201 * MINUTE)).toBe(true);
});
