import { type CompiledRuleSet, compileRuleSet } from '#models/pricing/compile-rule-set.ts';
import { limits } from '#schemas/limits.ts';
import { count } from './metrics.ts';

/** Compiled once per digest and isolate; the least recently added goes first. */
const compiled = new Map<string, CompiledRuleSet>();

export const ruleSetByDigest = (digest: string): CompiledRuleSet | undefined => compiled.get(digest);
export const digestsHeld = (): string[] => [...compiled.keys()];

/** Validates a body again, as it was when published, and compiles it. False when this code does not take it: then older copies stay. */
export function takeRuleSet(digest: string, body: string): boolean {
	if (compiled.has(digest)) return true;
	const result = compileRuleSet(JSON.parse(body));
	if (!result.ok) {
		count('surgecast_edge_rule_sets_refused_total');
		console.error(JSON.stringify({ message: 'a rule set does not compile', digest, errors: result.errors.slice(0, 3) }));
		return false;
	}
	if (compiled.size >= limits.rule_sets_compiled_max) compiled.delete(compiled.keys().next().value ?? '');
	compiled.set(digest, result.ruleSet);
	return true;
}
