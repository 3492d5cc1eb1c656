import { formatInstant } from '#schemas/instant.ts';

const DAY_MS = 86_400_000;
/** Years 1 to 9999, where a date has ten characters. */
const FIRST = -62_135_596_800_000;
const LAST = 253_402_300_799_999;
const two = (value: number): string => (value < 10 ? `0${value}` : `${value}`);

/**
 * The same text as formatInstant() in a fifth of its time, which three instants a decision are worth. Days to dates by Howard Hinnant's civil_from_days
 * (https://howardhinnant.github.io/date_algorithms.html). An instant beyond what a Date holds is clamped, so that nothing here throws.
 */
export function utc(at: number): string {
	if (!(at >= FIRST && at <= LAST && Number.isInteger(at))) return formatInstant(Math.min(Math.max(Number.isNaN(at) ? 0 : at, -864e13), 864e13));
	const ms = ((at % DAY_MS) + DAY_MS) % DAY_MS;
	// Days since 1 March of year 0, in eras of 400 years; never negative here.
	const days = (at - ms) / DAY_MS + 719_468;
	const era = Math.trunc(days / 146_097);
	const day = days - era * 146_097;
	const year = Math.trunc((day - Math.trunc(day / 1460) + Math.trunc(day / 36_524) - Math.trunc(day / 146_096)) / 365);
	const dayOfYear = day - (365 * year + Math.trunc(year / 4) - Math.trunc(year / 100));
	const shifted = Math.trunc((5 * dayOfYear + 2) / 153);
	const month = shifted < 10 ? shifted + 3 : shifted - 9;
	const date = dayOfYear - Math.trunc((153 * shifted + 2) / 5) + 1;
	const years = String(year + era * 400 + (month <= 2 ? 1 : 0)).padStart(4, '0');
	const seconds = Math.trunc(ms / 1000);
	const fraction = ms % 1000;
	const clock = `${two(Math.trunc(seconds / 3600))}:${two(Math.trunc(seconds / 60) % 60)}:${two(seconds % 60)}`;
	return `${years}-${two(month)}-${two(date)}T${clock}${fraction === 0 ? '' : `.${String(fraction).padStart(3, '0')}`}Z`;
}
