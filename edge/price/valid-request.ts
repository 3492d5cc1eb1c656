import { parseInstant } from '#schemas/instant.ts';
import { limits } from '#schemas/limits.ts';
import type { PriceRequest } from '#schemas/price.ts';

const SLUG = /^[a-z0-9][a-z0-9\-_]{0,63}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/**
 * The price request that a JSON value is, when it is clearly a good one; else undefined, and the schema judges. Workers may not generate code, so zod
 * interprets its schema: 5.5 us a request; this takes 0.3. A property test shows that it never says anything but what parse(priceRequest) says.
 */
export function validRequest(value: unknown): PriceRequest | undefined {
	if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
	const { region_id, product_type, timestamp, user_id, attributes, ...others } = value as Record<string, unknown>;
	if (typeof region_id !== 'string' || typeof product_type !== 'string' || !SLUG.test(region_id) || !SLUG.test(product_type)) return undefined;
	for (const _ in others) return undefined;
	const request: PriceRequest = { region_id, product_type };
	if (timestamp !== undefined) {
		const at = typeof timestamp === 'string' ? parseInstant(timestamp) : Number.NaN;
		if (Number.isNaN(at)) return undefined;
		request.timestamp = at;
	}
	if (user_id !== undefined) {
		if (typeof user_id !== 'string' || user_id.length < 1 || user_id.length > limits.id_chars_max || CONTROL.test(user_id) || !user_id.isWellFormed())
			return undefined;
		request.user_id = user_id;
	}
	if (attributes !== undefined) {
		if (typeof attributes !== 'object' || attributes === null || Array.isArray(attributes)) return undefined;
		const given = attributes as Record<string, unknown>;
		const copy: Record<string, string | number | boolean> = {};
		let count = 0;
		for (const key of Object.keys(given)) {
			const inner = given[key];
			if (key === '__proto__' || key.length > limits.attribute_chars_max || ++count > limits.attributes_max) return undefined;
			if (
				typeof inner === 'number'
					? !Number.isFinite(inner)
					: typeof inner === 'string'
						? inner.length > limits.attribute_chars_max || !inner.isWellFormed()
						: typeof inner !== 'boolean'
			)
				return undefined;
			copy[key] = inner === 0 ? 0 : (inner as string | number | boolean); // -0 is 0
		}
		const distance = copy['distance_km'];
		if (distance !== undefined && !(typeof distance === 'number' && distance >= 0 && distance <= limits.distance_km_max)) return undefined;
		request.attributes = copy;
	}
	return request;
}
