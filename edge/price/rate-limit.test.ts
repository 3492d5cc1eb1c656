import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { limits } from '#schemas/limits.ts';
import { rateLimit } from './rate-limit.ts';

let window = 1_800_000_000_000;
beforeEach(() => {
	window += 2 * limits.rate_limit_window_ms; // one that no other test counted in
	vi.useFakeTimers({ toFake: ['Date'], now: window });
});
afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

it('rateLimit() says the seconds to wait, and counts nothing that it refuses', () => {
	vi.setSystemTime(window + 3500);
	expect([rateLimit('a', { by: 3, per_10s: 5 }), rateLimit('a', { by: 3, per_10s: 5 }), rateLimit('a', { by: 2, per_10s: 5 })]).toEqual([0, 7, 0]);
	expect(rateLimit('a', { by: 1, per_10s: 5 })).toBe(7);
	expect(rateLimit('b', { by: 5, per_10s: 5 })).toBe(0);
	vi.setSystemTime(window + 9999);
	expect(rateLimit('a', { by: 1, per_10s: 5 })).toBe(1);
	vi.setSystemTime(window + 10_000);
	expect(rateLimit('a', { by: 5, per_10s: 5 })).toBe(0);
});

it('rateLimit() keeps no more subjects than its limit: the first of the window go first, and nobody else is let off', () => {
	vi.spyOn(limits, 'rate_limit_subjects_max', 'get').mockReturnValue(3 as never);
	const once = (subject: string) => rateLimit(subject, { by: 1, per_10s: 1 });
	expect(['a', 'b', 'c'].map(once)).toEqual([0, 0, 0]);
	expect(once('d')).toBe(0); // in place of a
	expect(['b', 'c', 'd'].map(once)).toEqual([10, 10, 10]);
	expect(once('a')).toBe(0);
});
