import { type CompiledRuleSet, compileRuleSet } from '#models/pricing/compile-rule-set.ts';
import { limits } from '#schemas/limits.ts';
import { count } from './metrics.ts';

/** Compiled once per digest and isolate, the least recently used first. Null: this code does not take it, and need not be sent it again. */
const compiled = new Map<string, { ruleSet: CompiledRuleSet | null; chars: number }>();
let chars = 0;

export const digestsHeld = (): string[] => [...compiled.keys()];

export function ruleSetByDigest(digest: string): CompiledRuleSet | undefined {
	const found = compiled.get(digest);
	if (!found) return undefined;
	compiled.delete(digest);
	compiled.set(digest, found);
	return found.ruleSet ?? undefined;
}

/** Validates a body again, as it was when published, and compiles it. One that this code does not take is counted: then older copies stay. */
export function takeRuleSet(digest: string, body: string): void {
	if (compiled.has(digest)) return;
	const result = compileRuleSet(JSON.parse(body));
	if (!result.ok) {
		count('surgecast_edge_rule_sets_refused_total');
		console.error(JSON.stringify({ message: 'a rule set does not compile', digest, errors: result.errors.slice(0, 3) }));
	}
	compiled.set(digest, { ruleSet: result.ok ? result.ruleSet : null, chars: body.length });
	chars += body.length;
	for (const [oldest, { chars: own }] of compiled) {
		if (oldest === digest || (compiled.size <= limits.rule_sets_compiled_max && chars <= limits.rule_sets_compiled_chars_max)) break;
		compiled.delete(oldest);
		chars -= own;
	}
}
