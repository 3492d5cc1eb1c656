import * as z from 'zod';
import { slug } from './identifier.ts';
import { instant } from './instant.ts';
import { limits } from './limits.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Steps of a course over time, by their milliseconds. */
export const stepMs = { '1m': MINUTE_MS, '5m': 5 * MINUTE_MS, '15m': 15 * MINUTE_MS, '1h': 60 * MINUTE_MS, '6h': 6 * 60 * MINUTE_MS, '1d': DAY_MS } as const;
export type Step = keyof typeof stepMs;
const step = z.enum(Object.keys(stepMs) as [Step, ...Step[]]);

const range = { from: instant, to: instant };
const regionId = slug.optional();

/** from < to, not further apart than one question may span. */
function spanned<T extends { from: number; to: number }>(ms_max: number) {
	return ({ from, to }: T, ctx: z.core.$RefinementCtx<T>): void => {
		if (to <= from) ctx.addIssue({ code: 'custom', path: ['to'], message: 'must be after from' });
		else if (to - from > ms_max) ctx.addIssue({ code: 'custom', path: ['to'], message: `must not be more than ${ms_max / DAY_MS} days after from` });
	};
}

export const historyQuery = z
	.strictObject({ region_id: slug, ...range, step: step.default('1h') })
	.superRefine(spanned(limits.history_range_ms_max))
	.superRefine(({ from, to, step }, ctx) => {
		const steps = Math.ceil((to - from) / stepMs[step]);
		if (steps > limits.history_steps_max)
			ctx.addIssue({ code: 'custom', path: ['step'], message: `must be longer: these are ${steps} steps, at most ${limits.history_steps_max} are answered` });
	});
export const multipliersQuery = z.strictObject({ region_id: regionId, ...range }).superRefine(spanned(limits.history_range_ms_max));
export const refusalsQuery = z.strictObject({ region_id: regionId, ...range }).superRefine(spanned(limits.history_range_ms_max));
export const accuracyQuery = z.strictObject({ region_id: regionId, ...range }).superRefine(spanned(limits.history_accuracy_range_ms_max));

const count = z.int().nonnegative();

/** Steps count from `from`; those in which nothing was decided and nothing happened are left out. */
export const historyAnswer = z.strictObject({
	region_id: slug,
	step,
	items: z.array(
		z.strictObject({
			at: z.string().describe('the beginning of the step'),
			decisions: count,
			multiplier: z.strictObject({ mean: z.number(), min: z.number(), max: z.number() }).nullable().describe('null without decisions'),
			prices: z.array(z.strictObject({ currency: z.string(), decisions: count, mean_amount_minor: z.number() })),
			bookings: count,
			searches: count,
			cancels: count,
		}),
	),
});

export const multipliersAnswer = z.strictObject({
	decisions: count,
	quantiles: z
		.strictObject({ min: z.number(), p05: z.number(), p25: z.number(), p50: z.number(), p75: z.number(), p95: z.number(), p99: z.number(), max: z.number() })
		.nullable()
		.describe('multipliers that were charged; null without decisions'),
	histogram: z.array(z.strictObject({ from: z.number(), to: z.number(), decisions: count })).describe('from <= multiplier < to; empty bars are left out'),
});

export const refusalsAnswer = z.strictObject({
	items: z.array(
		z.strictObject({
			day: z.string().describe('UTC, YYYY-MM-DD, by the stamp of ingestion'),
			topic: z.enum(['late-events', 'dead-letter']),
			reason: z.string().describe('numbers in it as #, names as "…"'),
			records: count,
		}),
	),
});

export const accuracyAnswer = z.strictObject({
	items: z.array(
		z.strictObject({
			model: z.string(),
			horizon_minutes: z.int(),
			forecasts: count.describe('whose minutes have passed and are final'),
			expected: z.number(),
			bookings: count,
			wape: z.number().nullable().describe('sum of |bookings - expected| / sum of bookings; null without bookings'),
			coverage: z.number().nullable().describe('share whose bookings lie within low..high, nominally 0.8; null without forecasts'),
			waiting: count.describe('forecasts that are not judged: a minute of theirs is not final yet, or is not in the history'),
		}),
	),
});
