import { type CompiledRuleSet, compileRuleSet } from '#models/pricing/compile-rule-set.ts';
import { limits } from '#schemas/limits.ts';
import { count } from './metrics.ts';

/** Compiled once per digest and isolate; the least recently added goes first. Null: this code does not take it, and need not be sent it again. */
const compiled = new Map<string, CompiledRuleSet | null>();

export const ruleSetByDigest = (digest: string): CompiledRuleSet | undefined => compiled.get(digest) ?? undefined;
export const digestsHeld = (): string[] => [...compiled.keys()];

/** Validates a body again, as it was when published, and compiles it. One that this code does not take is counted: then older copies stay. */
export function takeRuleSet(digest: string, body: string): void {
	if (compiled.has(digest)) return;
	const result = compileRuleSet(JSON.parse(body));
	if (!result.ok) {
		count('surgecast_edge_rule_sets_refused_total');
		console.error(JSON.stringify({ message: 'a rule set does not compile', digest, errors: result.errors.slice(0, 3) }));
	}
	if (compiled.size >= limits.rule_sets_compiled_max) compiled.delete(compiled.keys().next().value ?? '');
	compiled.set(digest, result.ok ? result.ruleSet : null);
}
