import type Holidays from 'date-holidays';

let calendar: Promise<typeof Holidays> | undefined;

/** Loaded when first asked for: it carries the holidays of the world, 2 MB. */
async function load(): Promise<typeof Holidays> {
	calendar ??= import('date-holidays').then((module) => module.default);
	return calendar;
}

const DAY_MS = 24 * 3_600_000;

function nextDay(date: string, days: number): string {
	return new Date(Date.parse(`${date}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);
}

/**
 * The public holidays behind a country or subdivision code (`US`, `US-NY`), as local dates of the years around `now` (its year - 1 .. + 2).
 * Null for a code that is not known.
 */
export async function expandHolidays(code: string, { now }: { now: number }): Promise<string[] | null> {
	const year = new Date(now).getUTCFullYear();
	const key = `${code} ${year}`;
	const held = expanded.get(key);
	if (held) return held;
	const dates = await expand(code, year);
	if (dates) expanded.set(key, dates); // only codes that exist: a few hundred
	return dates;
}

/** Once a code and year: a Calendar takes 10 ms, and a sample has hundreds of regions of one code. */
const expanded = new Map<string, string[]>();

async function expand(code: string, year: number): Promise<string[] | null> {
	const [country = '', state] = code.split('-');
	const Calendar = await load();
	const known = new Calendar();
	if (!Object.hasOwn(known.getCountries(), country)) return null;
	if (state !== undefined && !Object.hasOwn(known.getStates(country) ?? {}, state)) return null;
	const holidays = state === undefined ? new Calendar(country) : new Calendar(country, state);
	const dates = new Set<string>();
	for (const each of [year - 1, year, year + 1, year + 2]) {
		for (const { type, date, start, end } of holidays.getHolidays(each)) {
			if (type !== 'public') continue;
			const days = Math.max(1, Math.round((end.getTime() - start.getTime()) / DAY_MS));
			for (let day = 0; day < days; day++) dates.add(nextDay(date.slice(0, 10), day));
		}
	}
	return [...dates].sort();
}
