import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { IsolateGaps } from './isolate-gaps.ts';

test('count is what is missing between the first seen and the greatest, in whatever order and however often they come', () => {
	fc.assert(
		fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.integer({ min: 1, max: 40 })), { minLength: 1, maxLength: 100 }), (seen) => {
			const gaps = new IsolateGaps();
			let expected = 0;
			for (const [isolate, sequence] of seen) gaps.see(isolate, sequence);
			for (const isolate of ['a', 'b']) {
				const own = seen.filter(([of]) => of === isolate).map(([, sequence]) => sequence);
				if (own.length === 0) continue;
				const above = new Set(own.filter((sequence) => sequence > own[0]!));
				if (above.size > 0) expected += Math.max(...above) - own[0]! - above.size;
			}
			expect(gaps.count).toBe(expected);
		}),
	);
});

test('count keeps what an isolate that is forgotten missed', () => {
	const gaps = new IsolateGaps();
	gaps.see('old', 1);
	gaps.see('old', 4);
	for (let n = 0; n < 2000; n++) gaps.see(`i-${n}`, 1);
	expect(gaps.count).toBe(2);
});
