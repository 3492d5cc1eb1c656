import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from '#schemas/parse.ts';
import { priceRequest } from '#schemas/price.ts';
import { validRequest } from './valid-request.ts';

const good = { region_id: 'a', product_type: 'standard_ride' };
/** Text at and beyond every edge of the schema. */
const text = fc.oneof(
	fc.string({ maxLength: 6, unit: 'binary' }),
	fc.constantFrom('', 'a', 'a-b_9', '-a', 'A', 'x'.repeat(64), 'x'.repeat(65), 'y'.repeat(128), 'y'.repeat(129), 'z'.repeat(256), 'z'.repeat(257)),
	fc.constantFrom(
		'\ud800',
		'a\u0000',
		'\u0085',
		'🚕',
		'__proto__',
		'constructor',
		'2026-01-11T10:30:00Z',
		'2026-02-30T10:30:00Z',
		'2026-01-11T10:30:00.25+08:00',
	),
);
const anything = fc.oneof(
	text,
	fc.constantFrom(0, -0, 1, -1, 1e5, 100_000.01, Number.POSITIVE_INFINITY, Number.NaN, true, null, undefined, [], {}, [1]),
	fc.double(),
);
const attributes = fc.oneof(
	fc.dictionary(fc.oneof(text, fc.constant('distance_km')), anything, { maxKeys: 5, noNullPrototype: true }),
	fc.integer({ min: 30, max: 34 }).map((n) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, i]))),
	anything,
);
const request = fc.record(
	{
		region_id: fc.oneof({ weight: 12, arbitrary: fc.constant('a') }, anything),
		product_type: fc.oneof({ weight: 12, arbitrary: fc.constant('p') }, anything),
		timestamp: fc.oneof(fc.constant('2026-01-11T10:30:00Z'), anything),
		user_id: anything,
		attributes,
	},
	{ requiredKeys: ['region_id', 'product_type'], noNullPrototype: true },
);

describe('validRequest()', () => {
	it('says nothing but what the schema says, whatever comes', () => {
		let agreed = 0;
		fc.assert(
			fc.property(
				fc.oneof(
					{ weight: 9, arbitrary: request },
					request.map((value) => ({ ...value, more: 1 })),
					anything,
				),
				(value) => {
					const quick = validRequest(value);
					const slow = parse(priceRequest, structuredClone(value));
					if (quick === undefined) return;
					agreed += 1;
					expect(slow).toEqual({ ok: true, value: quick });
					expect(JSON.stringify(slow.ok && slow.value.attributes)).toBe(JSON.stringify(quick.attributes));
				},
			),
			{ numRuns: 20_000 },
		);
		expect(agreed).toBeGreaterThan(200);
	});

	it('knows every good request by itself: what it leaves to the schema is refused there', () => {
		fc.assert(
			fc.property(request, (value) => {
				const json = JSON.parse(JSON.stringify({ ...good, ...value })) as unknown; // as it comes over the wire
				if (validRequest(json) === undefined) expect(parse(priceRequest, json).ok).toBe(false);
			}),
			{ numRuns: 5000 },
		);
	});

	it('makes -0 a 0, and refuses __proto__ as the schema does', () => {
		expect(Object.is(validRequest({ ...good, attributes: { distance_km: -0 } })?.attributes?.['distance_km'], 0)).toBe(true);
		for (const json of ['{"region_id":"a","product_type":"b","__proto__":{}}', '{"region_id":"a","product_type":"b","attributes":{"__proto__":1}}'])
			expect([validRequest(JSON.parse(json)), parse(priceRequest, JSON.parse(json)).ok]).toEqual([undefined, false]);
	});
});
