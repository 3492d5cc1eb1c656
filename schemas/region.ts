import * as z from 'zod';
import { name, slug } from './identifier.ts';
import { limits } from './limits.ts';

/** Checked against what this runtime's time zone data knows. */
function isTimeZone(zone: string): boolean {
	try {
		new Intl.DateTimeFormat('en', { timeZone: zone });
		return !/^[+-]/.test(zone);
	} catch {
		return false;
	}
}

/** The body of PUT /api/v1/regions/{id}. What is left out gets its default. */
export const regionInput = z.strictObject({
	name,
	time_zone: z.string().max(64).refine(isTimeZone, 'must be an IANA time zone, like Asia/Singapore'),
	rule_set: slug.default('city'),
	location_hint: z.string().max(16).nullable().default(null),
	neighbours: z.array(slug).max(limits.neighbours_max).default([]),
	profile: z
		.array(z.number().min(0).max(1e9))
		.length(limits.profile_hours, 'must have 168 numbers: bookings per hour, Monday 00:00 first')
		.nullable()
		.default(null),
	minutes_per_booking: z.number().positive().max(1440).default(20),
	holidays: z
		.string()
		.regex(/^[A-Z]{2}(-[A-Z0-9]{1,3})?$/, 'must be a country or subdivision code, like US or US-NY')
		.nullable()
		.default(null),
});
export type RegionInput = z.output<typeof regionInput>;

/** A catalogue entry, as the control plane keeps it and as a Shard holds it. */
export const region = z.strictObject({
	region_id: slug,
	...regionInput.shape,
	frozen: z.boolean(),
	/** Grows with every change of the entry; a Shard takes a greater one only. */
	version: z.int().positive(),
	/** `holidays` as local dates (YYYY-MM-DD), so that nothing behind needs a calendar of its own. */
	holiday_dates: z.array(z.string()),
});
export type Region = z.output<typeof region>;

export const freezeInput = z.strictObject({ frozen: z.boolean() });
