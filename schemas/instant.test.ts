import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatInstant, instant, parseInstant } from './instant.ts';

test('parseInstant() reads RFC 3339 with an offset to milliseconds', () => {
	const at = Date.UTC(2026, 0, 11, 10, 30);
	expect(parseInstant('2026-01-11T10:30:00Z')).toBe(at);
	expect(parseInstant('2026-01-11t10:30:00z')).toBe(at);
	expect(parseInstant('2026-01-11T18:30:00+08:00')).toBe(at);
	expect(parseInstant('2026-01-11T10:30:00.250Z')).toBe(at + 250);
	expect(parseInstant('2026-01-11T10:30:00.2509999Z')).toBe(at + 250);
	expect(parseInstant('2024-02-29T00:00:00Z')).toBe(Date.UTC(2024, 1, 29));
	expect(parseInstant('1969-12-31T23:59:59Z')).toBe(-1000);
});

test('parseInstant() refuses everything else', () => {
	for (const text of [
		'',
		'2026-01-11',
		'2026-01-11T10:30:00',
		'2026-01-11T10:30Z',
		'2026-01-11 10:30:00Z',
		'2026-02-29T00:00:00Z',
		'2026-02-30T00:00:00Z',
		'2026-04-31T00:00:00Z',
		'2026-13-01T00:00:00Z',
		'2026-00-01T00:00:00Z',
		'2026-01-00T00:00:00Z',
		'2026-01-11T25:00:00Z',
		'2026-01-11T10:60:00Z',
		'2026-01-11T10:30:00+25:00',
		'2026-01-11T10:30:00.Z',
		' 2026-01-11T10:30:00Z',
		'2026-01-11T10:30:00Z ',
		'+002026-01-11T10:30:00Z',
		'20260111T103000Z',
	])
		expect(parseInstant(text), text).toBeNaN();
});

test('formatInstant() and parseInstant() are inverse', () => {
	fc.assert(
		fc.property(fc.integer({ min: Date.UTC(1, 0), max: Date.UTC(9999, 0) }), (at) => {
			expect(parseInstant(formatInstant(at))).toBe(at);
		}),
	);
	expect(formatInstant(Date.UTC(2026, 0, 11, 10, 30))).toBe('2026-01-11T10:30:00Z');
	expect(formatInstant(Date.UTC(2026, 0, 11, 10, 30) + 5)).toBe('2026-01-11T10:30:00.005Z');
});

test('instant answers what is wanted', () => {
	expect(instant.safeParse('2026-01-11T10:30:00Z').data).toBe(Date.UTC(2026, 0, 11, 10, 30));
	expect(instant.safeParse('yesterday').error?.issues[0]?.message).toContain('RFC 3339');
	expect(instant.safeParse(5).success).toBe(false);
});
