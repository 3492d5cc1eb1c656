import { type CompiledRuleSet, compileRuleSet } from '#models/pricing/compile-rule-set.ts';
import { decide } from '#models/pricing/decide.ts';
import { pricingVersion } from '#models/pricing/pricing-version.ts';
import { limits } from '#schemas/limits.ts';
import type { Connection } from './database/database.ts';
import { type ReplayableDecision, readReplayablePage } from './database/decisions.ts';
import { jsonDifferences } from './json-differences.ts';

/** One place where a recomputed decision differs from the stored one. */
export interface ReplayDifference {
	/** JSON Pointer into the answer; of what a replay lacks, into the inputs. */
	path: string;
	stored: unknown;
	computed: unknown;
}

/** Recomputes decisions; each rule set is compiled once for all of them. No difference: the decision reproduces. */
export function createReplay(): (stored: ReplayableDecision) => ReplayDifference[] {
	const compiled = new Map<string, CompiledRuleSet>();

	return ({ decided_at, answer, inputs, snapshot, document }) => {
		const lacking = (path: string, what: unknown): ReplayDifference[] => [{ path, stored: what, computed: null }];
		if (!snapshot) return lacking('/inputs/snapshot', inputs.snapshot_id);
		if (document === null) return lacking('/inputs/rule_set_digest', inputs.rule_set_digest);
		let ruleSet = compiled.get(inputs.rule_set_digest);
		if (!ruleSet) {
			const result = compileRuleSet(JSON.parse(document));
			if (!result.ok) return lacking('/inputs/rule_set_digest', inputs.rule_set_digest);
			ruleSet = result.ruleSet;
			if (compiled.size >= limits.rule_sets_compiled_max) compiled.clear();
			compiled.set(inputs.rule_set_digest, ruleSet);
		}
		const { request, at, arm, experiment } = inputs;
		const decided = decide({ request, decided_at, at, snapshot, arm, experiment }, ruleSet);
		if (!decided.ok) return [{ path: '', stored: answer, computed: decided.refusal }];
		const { decision_id: _, trace_id: __, ...outcome } = answer;
		// Through JSON, since that is how an answer leaves: -0 and absent keys are no differences.
		const computed: unknown = JSON.parse(JSON.stringify(decided.outcome));
		return jsonDifferences(outcome, computed).map(({ path, from, to }) => ({ path, stored: from, computed: to }));
	};
}

export interface ReplayReport {
	/** Decisions recomputed, the differing one included. */
	compared: number;
	/** Decisions of another revision of `decide`: counted, not compared. */
	other_revisions: number;
	/** The first that differs; the replay ends there. */
	difference: { decision_id: string; differences: ReplayDifference[] } | null;
}

/**
 * Recomputes the stored decisions with from <= decided_at < to, oldest first, page by page; ends at the first difference.
 * @param options.onProgress after each page.
 */
export async function replayDecisions(
	connection: Connection,
	{ from, to, onProgress }: { from?: number | undefined; to?: number | undefined; onProgress?: (so_far: ReplayReport) => void } = {},
): Promise<ReplayReport> {
	const replay = createReplay();
	const report: ReplayReport = { compared: 0, other_revisions: 0, difference: null };
	let after: Awaited<ReturnType<typeof readReplayablePage>>['next'] = null;
	do {
		const page = await readReplayablePage(connection, { from, to, after, limit: limits.replay_page });
		for (const stored of page.decisions) {
			if (stored.inputs.pricing !== pricingVersion) {
				report.other_revisions++;
				continue;
			}
			report.compared++;
			const differences = replay(stored);
			if (differences.length === 0) continue;
			report.difference = { decision_id: stored.decision_id, differences: differences.slice(0, limits.differences_max) };
			return report;
		}
		onProgress?.({ ...report });
		after = page.next;
	} while (after !== null);
	return report;
}
