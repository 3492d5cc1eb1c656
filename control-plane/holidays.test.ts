import { describe, expect, it } from 'vitest';
import { expandHolidays } from './holidays.ts';

const now = Date.parse('2026-05-01T00:00:00Z');

describe('expandHolidays()', () => {
	it('gives the public holidays of the years around now, in order', async () => {
		const dates = (await expandHolidays('US', { now }))!;
		expect(dates).toEqual([...dates].sort());
		for (const year of [2025, 2026, 2027, 2028]) for (const day of ['01-01', '07-04', '12-25']) expect(dates).toContain(`${year}-${day}`);
		expect(dates).toContain('2026-11-26'); // Thanksgiving, the fourth Thursday
		expect(dates.every((date) => /^202[4-9]-\d\d-\d\d$/.test(date))).toBe(true);
		expect(dates).not.toContain('2026-02-14'); // observed, not public
	});

	it('knows subdivisions', async () => {
		const [country, state] = [await expandHolidays('DE', { now }), await expandHolidays('DE-BY', { now })];
		expect(country).not.toContain('2026-01-06');
		expect(state).toContain('2026-01-06');
	});

	it('counts every day of a holiday that lasts', async () => {
		const dates = (await expandHolidays('CN', { now }))!;
		expect(dates.filter((date) => date.startsWith('2026-02')).length).toBeGreaterThan(1);
	});

	it('follows the clock that it is given', async () => {
		expect(await expandHolidays('US', { now: Date.parse('2015-05-01T00:00:00Z') })).toContain('2015-07-03'); // the 4th was a Saturday
	});

	it.each(['ZZ', 'US-QQ', 'XX-NY', 'US-'])('does not know %s', async (code) => {
		expect(await expandHolidays(code, { now })).toBeNull();
	});
});
