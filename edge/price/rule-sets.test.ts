import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ruleSet } from '../test-support.ts';

/** A cold isolate's, with smaller limits. */
async function cold(options: { max: number; chars_max?: number }) {
	vi.resetModules();
	const { limits } = await import('#schemas/limits.ts');
	vi.spyOn(limits, 'rule_sets_compiled_max', 'get').mockReturnValue(options.max as never);
	vi.spyOn(limits, 'rule_sets_compiled_chars_max', 'get').mockReturnValue((options.chars_max ?? 1_000_000) as never);
	return import('./rule-sets.ts');
}
const body = JSON.stringify(ruleSet());
beforeEach(() => {
	vi.restoreAllMocks();
});

describe('takeRuleSet()', () => {
	it('keeps no more than its number, and forgets the least recently used', async () => {
		const { takeRuleSet, ruleSetByDigest, digestsHeld } = await cold({ max: 3 });
		for (const digest of ['a', 'b', 'c']) takeRuleSet(digest, body);
		expect(ruleSetByDigest('a')).toMatchObject({ name: 'city' });
		takeRuleSet('d', body);
		expect(digestsHeld()).toEqual(['c', 'a', 'd']);
		expect(ruleSetByDigest('b')).toBeUndefined();
	});

	it('keeps no more than its characters, but the one that came last', async () => {
		const { takeRuleSet, digestsHeld } = await cold({ max: 100, chars_max: 2.5 * body.length });
		for (const digest of ['a', 'b', 'c', 'd']) takeRuleSet(digest, body);
		expect(digestsHeld()).toEqual(['c', 'd']);
		takeRuleSet('large', body.padEnd(4 * body.length));
		expect(digestsHeld()).toEqual(['large']);
		takeRuleSet('e', body);
		expect(digestsHeld()).toEqual(['e']);
	});

	it('remembers what does not compile, without giving it', async () => {
		const error = vi.spyOn(console, 'error').mockImplementation(() => undefined);
		const { takeRuleSet, ruleSetByDigest, digestsHeld } = await cold({ max: 3 });
		for (let i = 0; i < 3; i++) takeRuleSet('bad', '{"name":"bad"}');
		expect([ruleSetByDigest('bad'), digestsHeld(), error.mock.calls.length]).toEqual([undefined, ['bad'], 1]);
	});
});
