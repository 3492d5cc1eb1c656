import type { RegionInput } from '#schemas/region.ts';
import zones from './nyc-profiles.json' with { type: 'json' };

export interface SampleRegion extends RegionInput {
	region_id: string;
}

/**
 * The regions of the sample: every taxi zone of New York with its mean bookings by hour of week, and two of Singapore without a past.
 * Under --replay nobody has a profile: the past has to be seen.
 */
export function sampleRegions(options: { profiles: boolean }): SampleRegion[] {
	const defaults = { location_hint: null, neighbours: [], profile: null, minutes_per_booking: 20, holidays: null };
	return [
		...zones.map(({ id, name, profile }) => ({
			...defaults,
			region_id: `nyc-${id}`,
			name,
			time_zone: 'America/New_York',
			rule_set: 'nyc',
			profile: options.profiles ? profile : null,
			minutes_per_booking: 15,
			holidays: 'US-NY',
		})),
		{ ...defaults, region_id: 'sg-central', name: 'Central, Singapore', time_zone: 'Asia/Singapore', rule_set: 'city', holidays: 'SG' },
		{ ...defaults, region_id: 'sg-airport', name: 'Changi Airport, Singapore', time_zone: 'Asia/Singapore', rule_set: 'city', holidays: 'SG' },
	];
}
