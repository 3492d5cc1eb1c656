// What must be the same in every runtime, here in workerd: the worked examples of pricing, and local time.
import { describe, expect, it } from 'vitest';
import { localTime } from '#models/calendar.ts';
import { goldenCases, goldenComparison } from '#models/pricing/golden.ts';

describe('R10: decide() in workerd', () => {
	it.each(goldenCases())('gives the same bytes: $name', (one) => {
		const { got, wanted } = goldenComparison(one);
		expect(got).toBe(wanted);
	});
});

describe('localTime() in workerd', () => {
	// Made by Node 24's Intl, around every kind of change: an hour, half an hour, a day, midnight, none.
	it.each([
		['2025-03-09T06:59:59.999Z', 'America/New_York', '2025-03-09', 1, 6],
		['2025-03-09T07:00:00Z', 'America/New_York', '2025-03-09', 3, 6],
		['2025-11-02T05:30:00Z', 'America/New_York', '2025-11-02', 1, 6],
		['2025-11-02T06:00:00Z', 'America/New_York', '2025-11-02', 1, 6],
		['2025-10-04T15:29:59.999Z', 'Australia/Lord_Howe', '2025-10-05', 1, 6],
		['2025-10-04T15:30:00Z', 'Australia/Lord_Howe', '2025-10-05', 2, 6],
		['2025-04-05T15:00:00Z', 'Australia/Lord_Howe', '2025-04-06', 1, 6],
		['2011-12-30T09:59:59.999Z', 'Pacific/Apia', '2011-12-29', 23, 3],
		['2011-12-30T10:00:00Z', 'Pacific/Apia', '2011-12-31', 0, 5],
		['2026-01-11T23:59:59Z', 'Asia/Kathmandu', '2026-01-12', 5, 0],
		['2025-12-31T10:00:00Z', 'Pacific/Kiritimati', '2026-01-01', 0, 3],
		['2026-02-15T02:00:00Z', 'Africa/Casablanca', '2026-02-15', 2, 6],
		['2026-03-29T00:59:59Z', 'Europe/London', '2026-03-29', 0, 6],
		['2026-03-29T01:00:00Z', 'Europe/London', '2026-03-29', 2, 6],
		['2018-11-04T02:59:59Z', 'America/Sao_Paulo', '2018-11-03', 23, 5],
		['2018-11-04T03:00:00Z', 'America/Sao_Paulo', '2018-11-04', 1, 6],
		['2025-09-07T03:59:59Z', 'America/Santiago', '2025-09-06', 23, 5],
		['2025-09-07T04:00:00Z', 'America/Santiago', '2025-09-07', 1, 6],
		['2026-01-11T16:00:00Z', 'Asia/Singapore', '2026-01-12', 0, 0],
		['2024-02-29T23:59:59Z', 'UTC', '2024-02-29', 23, 3],
	] as const)('%s in %s', (instant, zone, date, hour, day_of_week) => {
		expect(localTime(Date.parse(instant), zone)).toEqual({ date, hour, day_of_week });
	});
});
