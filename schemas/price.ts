import * as z from 'zod';
import { externalId, slug } from './identifier.ts';
import { instant } from './instant.ts';
import { limits } from './limits.ts';

const attributeValue = z.union([z.string().max(limits.attribute_chars_max), z.number(), z.boolean()]);

export const attributes = z.record(z.string().max(limits.attribute_chars_max), attributeValue).superRefine((value, ctx) => {
	if (Object.keys(value).length > limits.attributes_max) ctx.addIssue({ code: 'custom', message: `must not have more than ${limits.attributes_max} keys` });
	const distance = value['distance_km'];
	if (distance !== undefined && !(typeof distance === 'number' && distance >= 0 && distance <= limits.distance_km_max))
		ctx.addIssue({ code: 'custom', path: ['distance_km'], message: `must be a number from 0 to ${limits.distance_km_max}` });
});
export type Attributes = z.output<typeof attributes>;

export const priceRequest = z.strictObject({
	region_id: slug,
	product_type: slug,
	timestamp: instant.optional().describe("the client's word: recorded, never used for pricing"),
	user_id: externalId.optional(),
	attributes: attributes.optional(),
});
export type PriceRequest = z.output<typeof priceRequest>;

export const statuses = ['frozen', 'priced', 'stale', 'baseline', 'tariff'] as const;
export type Status = (typeof statuses)[number];

/** What `decide` makes: a price answer without the ids of its request. */
export const priceOutcome = z.strictObject({
	region_id: z.string(),
	product_type: z.string(),
	price: z.number().positive(),
	amount_minor: z.int().positive(),
	currency: z.string(),
	base_price: z.number(),
	surge_multiplier: z.number().positive(),
	decided_at: z.string(),
	valid_until: z.string(),
	status: z.enum(statuses),
	reasons: z.array(z.string()),
	factors: z.record(z.string(), z.number()),
	lines: z.array(z.strictObject({ kind: z.string(), amount_minor: z.int() })),
	forecast: z
		.strictObject({
			demand_score: z.number(),
			supply_score: z.number().nullable(),
			confidence: z.number(),
			horizon_minutes: z.int(),
			expected_bookings: z.number(),
			model: z.string(),
		})
		.nullable(),
	versions: z.strictObject({
		release: z.int(),
		rule_set: z.int(),
		model: z.string().nullable(),
		features: z.int().nullable(),
		features_as_of: z.string().nullable(),
		age_ms: z.int().nonnegative().nullable(),
	}),
});
export type PriceOutcome = z.output<typeof priceOutcome>;

export const priceAnswer = z.strictObject({ decision_id: z.string(), trace_id: z.string(), ...priceOutcome.shape });
export type PriceAnswer = z.output<typeof priceAnswer>;

/** Items are judged one by one: a bad one is a problem of its own among the results. */
export const pricesRequest = z.strictObject({ requests: z.array(z.unknown()).min(1, 'must have at least one request') });

export const forecastAnswer = z.strictObject({
	region_id: z.string(),
	as_of: z.string().nullable(),
	age_ms: z.int().nonnegative().nullable(),
	demand_score: z.number(),
	supply_score: z.number().nullable(),
	confidence: z.number(),
	model: z.string(),
	horizons: z.array(z.strictObject({ minutes: z.int(), expected: z.number(), low: z.int(), high: z.int() })),
});
export type ForecastAnswer = z.output<typeof forecastAnswer>;
