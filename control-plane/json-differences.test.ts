import { describe, expect, it } from 'vitest';
import { jsonDifferences } from './json-differences.ts';

describe('jsonDifferences()', () => {
	it.each<[unknown, unknown, unknown]>([
		[{ a: 1 }, { a: 1 }, []],
		[{ a: 1 }, { a: 2 }, [{ path: '/a', from: 1, to: 2 }]],
		[
			{ a: 1 },
			{ b: 1 },
			[
				{ path: '/a', from: 1, to: null },
				{ path: '/b', from: null, to: 1 },
			],
		],
		[
			[1, 2],
			[1, 3, 4],
			[
				{ path: '/1', from: 2, to: 3 },
				{ path: '/2', from: null, to: 4 },
			],
		],
		[{ 'a/b': { '~': 0 } }, { 'a/b': { '~': 1 } }, [{ path: '/a~1b/~0', from: 0, to: 1 }]],
		[{ a: [] }, { a: {} }, [{ path: '/a', from: [], to: {} }]],
		[{ a: null }, { a: 0 }, [{ path: '/a', from: null, to: 0 }]],
		[1, '1', [{ path: '', from: 1, to: '1' }]],
	])('from %j to %j', (from, to, differences) => {
		expect(jsonDifferences(from, to)).toEqual(differences);
	});
});
