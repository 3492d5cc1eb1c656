import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hourOfWeek, instantOf, localTime, offsetAt } from './calendar.ts';

const HOUR = 3_600_000;
const ZONES = ['America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Pacific/Kiritimati', 'Africa/Casablanca', 'Asia/Singapore', 'Pacific/Apia', 'UTC'];
const zone = fc.constantFrom(...ZONES);
const instant = fc.integer({ min: Date.UTC(2011, 0, 1), max: Date.UTC(2031, 0, 1) });
const utc = (text: string) => Date.parse(`${text}Z`);

describe('localTime()', () => {
	test('shows what Intl shows', () => {
		fc.assert(
			fc.property(instant, zone, (at, timeZone) => {
				const part = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat('sv-SE', { timeZone, ...options }).format(at);
				const { hour, day_of_week, date } = localTime(at, timeZone);
				expect(date).toBe(part({ dateStyle: 'short' }));
				expect(hour).toBe(Number(part({ hour: '2-digit', hourCycle: 'h23' })));
				expect(day_of_week).toBe((new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7);
			}),
			{ numRuns: 2000 },
		);
	});

	test('changes at the very millisecond, both ways', () => {
		expect(localTime(utc('2025-03-09T06:59:59.999'), 'America/New_York')).toEqual({ hour: 1, day_of_week: 6, date: '2025-03-09' });
		expect(localTime(utc('2025-03-09T07:00'), 'America/New_York').hour).toBe(3);
		expect(localTime(utc('2025-11-02T05:59:59.999'), 'America/New_York').hour).toBe(1);
		expect(localTime(utc('2025-11-02T06:00'), 'America/New_York').hour).toBe(1);
		expect(offsetAt(utc('2025-10-04T15:29:59.999'), 'Australia/Lord_Howe')).toBe(10.5 * HOUR);
		expect(offsetAt(utc('2025-10-04T15:30'), 'Australia/Lord_Howe')).toBe(11 * HOUR);
		expect(offsetAt(utc('2025-10-04T15:30'), 'Asia/Kathmandu')).toBe(5.75 * HOUR);
	});

	test('refuses a zone that does not exist', () => {
		expect(() => localTime(0, 'Mars/Olympus')).toThrow(RangeError);
	});
});

describe('instantOf()', () => {
	test('goes back from every wall time to the first instant that shows it', () => {
		fc.assert(
			fc.property(instant, zone, (at, timeZone) => {
				const wall = at + offsetAt(at, timeZone);
				const first = instantOf(wall, timeZone);
				expect(first).not.toBeNull();
				expect(first! + offsetAt(first!, timeZone)).toBe(wall);
				expect(first! <= at).toBe(true);
			}),
			{ numRuns: 2000 },
		);
	});

	test('is null for a wall time that the clocks skip, and the first of two', () => {
		expect(instantOf(utc('2025-03-09T02:30'), 'America/New_York')).toBeNull();
		expect(instantOf(utc('2025-03-09T03:00'), 'America/New_York')).toBe(utc('2025-03-09T07:00'));
		expect(instantOf(utc('2025-11-02T01:30'), 'America/New_York')).toBe(utc('2025-11-02T05:30'));
		expect(instantOf(utc('2025-10-05T02:15'), 'Australia/Lord_Howe')).toBeNull();
		expect(instantOf(utc('2025-04-06T01:45'), 'Australia/Lord_Howe')).toBe(utc('2025-04-05T14:45'));
		expect(instantOf(utc('2011-12-30T12:00'), 'Pacific/Apia')).toBeNull();
	});
});

describe('hourOfWeek()', () => {
	test('begins on Monday', () => {
		expect(hourOfWeek(utc('2026-01-12T00:00'))).toBe(0);
		expect(hourOfWeek(utc('2026-01-11T23:59:59'))).toBe(167);
		expect(hourOfWeek(utc('1969-12-28T23:00'))).toBe(167);
	});
});
