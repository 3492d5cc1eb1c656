import * as z from 'zod';

const RFC3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** Milliseconds since 1970 of an RFC 3339 time with offset, or NaN. Digits below a millisecond are cut. */
export function parseInstant(text: string): number {
	const match = RFC3339.exec(text);
	if (!match) return Number.NaN;
	const at = Date.parse(text.toUpperCase());
	// Date.parse takes 30 February for 2 March: the day must be one of its month.
	const days = new Date(Date.UTC(Number(match[1]), Number(match[2]), 0)).getUTCDate();
	return Number(match[3]) <= days ? at : Number.NaN;
}

/** An RFC 3339 time with offset, read to milliseconds since 1970. */
export const instant = z
	.string()
	.meta({ format: 'date-time' })
	.transform((text, ctx) => {
		const at = parseInstant(text);
		if (Number.isNaN(at)) {
			ctx.issues.push({ code: 'custom', message: 'must be an RFC 3339 time with an offset, like 2026-01-11T10:30:00Z', input: text });
			return z.NEVER;
		}
		return at;
	});

/** 2026-01-11T10:30:00.250Z; whole seconds without a fraction. */
export function formatInstant(at: number): string {
	const text = new Date(at).toISOString();
	return text.endsWith('.000Z') ? `${text.slice(0, -5)}Z` : text;
}
