import * as z from 'zod';
import { currencyDigits } from './currency.ts';
import { horizonMinutes } from './forecast.ts';
import { slug } from './identifier.ts';
import { instant } from './instant.ts';
import { limits } from './limits.ts';

// The document of a rule set, as operators write it. What needs two of its places (money and currency, minimum and step) or a compiler (conditions) is
// checked by compileRuleSet in models/pricing.

const AMOUNT = `\\d{1,${limits.money_digits_max}}(\\.\\d+)?`;
const amountText = (pattern: string, example: string) =>
	z.string().regex(new RegExp(`^${pattern}$`), `must be an amount as text, like "${example}", with 1 to ${limits.money_digits_max} digits before the point`);
const isAboveZero = (text: string): boolean => /[1-9]/.test(text);

const money = amountText(AMOUNT, '12.00');
const moneyAboveZero = money.refine(isAboveZero, 'must be above 0');
const signedMoney = amountText(`-?${AMOUNT}`, '-1.50');

/** Whether the shortest decimal of the value has at most so many digits after the point. */
const hasDecimals = (value: number, decimals: number): boolean => Math.round(value * 10 ** decimals) / 10 ** decimals === value;

const multiplier = z
	.number()
	.min(-limits.multiplier_max)
	.max(limits.multiplier_max)
	.refine((value) => hasDecimals(value, limits.multiplier_decimals_max), `must not have more than ${limits.multiplier_decimals_max} decimals`);
const multiplierAboveZero = multiplier.refine((value) => value > 0, 'must be above 0');

const seconds = z
	.number()
	.min(0)
	.max(limits.seconds_max)
	.refine((value) => hasDecimals(value, limits.seconds_decimals_max), `must not have more than ${limits.seconds_decimals_max} decimals`);

const curve = z
	.array(z.tuple([z.number().min(0).max(1), multiplier]))
	.min(limits.curve_points_min)
	.max(limits.curve_points_max)
	.superRefine((points, ctx) => {
		points.forEach(([x], index) => {
			const before = points[index - 1];
			const refuse = (message: string) => ctx.addIssue({ code: 'custom', path: [index, 0], message });
			if (before === undefined && x !== 0) refuse(`must start at x = 0, not at ${x}`);
			else if (before !== undefined && x <= before[0]) refuse(`must grow strictly: ${x} comes after ${before[0]}`);
			else if (index === points.length - 1 && x !== 1) refuse(`must end at x = 1, not at ${x}`);
		});
	});

const product = z.strictObject({
	base_price: money,
	per_km: money.default('0'),
	/** Null: one rounding step. */
	minimum: moneyAboveZero.nullable().default(null),
	regions: z
		.record(slug, z.strictObject({ base_price: money.optional(), per_km: money.optional(), minimum: moneyAboveZero.optional() }))
		.refine((regions) => Object.keys(regions).length <= limits.product_regions_max, `must not have more than ${limits.product_regions_max} regions`)
		.default({}),
});

const surge = z
	.strictObject({
		min_multiplier: multiplierAboveZero,
		max_multiplier: multiplierAboveZero,
		horizon_minutes: z.literal(horizonMinutes),
		demand_curve: curve,
		supply_curve: curve,
	})
	.refine(({ min_multiplier, max_multiplier }) => min_multiplier <= max_multiplier, {
		path: ['min_multiplier'],
		message: 'must not be greater than max_multiplier',
	});

const actions = {
	add_multiplier: multiplier,
	cap_multiplier: multiplierAboveZero,
	floor_multiplier: multiplierAboveZero,
	multiply_price: multiplierAboveZero,
	add_price: signedMoney,
	set_price: moneyAboveZero,
};
export type ActionName = keyof typeof actions;

const then = z
	.strictObject({
		add_multiplier: actions.add_multiplier.optional(),
		cap_multiplier: actions.cap_multiplier.optional(),
		floor_multiplier: actions.floor_multiplier.optional(),
		multiply_price: actions.multiply_price.optional(),
		add_price: actions.add_price.optional(),
		set_price: actions.set_price.optional(),
	})
	.refine(
		(given) => Object.values(given).filter((value) => value !== undefined).length === 1,
		'must have exactly one action, like add_multiplier or set_price',
	);

const adjustment = z
	.strictObject({
		id: slug,
		when: z.string().min(1, 'must not be empty: write true for always').max(limits.condition_chars_max),
		then,
		priority: z.int().default(0),
		active_from: instant.nullable().default(null),
		active_to: instant.nullable().default(null),
	})
	.refine(({ active_from, active_to }) => active_from === null || active_to === null || active_from < active_to, {
		path: ['active_to'],
		message: 'must be after active_from',
	});

/** A rule set as POST /api/v1/rule-sets takes it. The output has the defaults filled in and instants in milliseconds since 1970; money stays text. */
export const ruleSetDocument = z.strictObject({
	name: slug,
	currency: z.string().refine((code) => currencyDigits(code) !== undefined, 'must be a currency code of ISO 4217, like SGD'),
	products: z.record(slug, product).superRefine((products, ctx) => {
		const count = Object.keys(products).length;
		if (count < 1) ctx.addIssue({ code: 'custom', message: 'must have at least one product' });
		if (count > limits.products_max) ctx.addIssue({ code: 'custom', message: `must not have more than ${limits.products_max} products` });
	}),
	surge,
	adjustments: z
		.array(adjustment)
		.max(limits.adjustments_max)
		.superRefine((adjustments, ctx) => {
			const first = new Map<string, number>();
			adjustments.forEach(({ id }, index) => {
				const before = first.get(id);
				if (before === undefined) first.set(id, index);
				else ctx.addIssue({ code: 'custom', path: [index, 'id'], message: `must not repeat the id of adjustment ${before}, "${id}"` });
			});
		})
		.default([]),
	rounding: z.strictObject({ step: moneyAboveZero, mode: z.enum(['up', 'down', 'half_up', 'half_even']) }),
	validity_seconds: seconds.refine((value) => value > 0, 'must be above 0').default(limits.validity_seconds_default),
	staleness: z
		.strictObject({ fresh_seconds: seconds.default(limits.fresh_seconds_default), stale_seconds: seconds.default(limits.stale_seconds_default) })
		.refine(({ fresh_seconds, stale_seconds }) => fresh_seconds < stale_seconds, { path: ['fresh_seconds'], message: 'must be less than stale_seconds' })
		.default({ fresh_seconds: limits.fresh_seconds_default, stale_seconds: limits.stale_seconds_default }),
});
export type RuleSetDocument = z.output<typeof ruleSetDocument>;
export type RuleSetDocumentInput = z.input<typeof ruleSetDocument>;
export type RoundingMode = RuleSetDocument['rounding']['mode'];
