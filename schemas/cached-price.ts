import * as z from 'zod';
import { slug } from './identifier.ts';
import { priceAnswer } from './price.ts';

export const cachedPriceKey = (regionId: string, productType: string): string => `price:${regionId}:${productType}`;

const { decision_id, price, amount_minor, currency, base_price, surge_multiplier, status, valid_until, versions } = priceAnswer.shape;

/**
 * What partners read under `price:<region_id>:<product_type>`: the latest price that anybody would have got there, as its client got it. Nothing of who
 * asked is in it.
 */
export const cachedPrice = z.strictObject({
	decision_id,
	region_id: slug,
	product_type: slug,
	price,
	amount_minor,
	currency,
	base_price,
	surge_multiplier,
	status,
	/** UTC, always with three digits of milliseconds, so that texts compare as instants do. */
	decided_at: z.string().regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/),
	valid_until,
	versions,
});
export type CachedPrice = z.output<typeof cachedPrice>;
