import { localTime } from '#models/calendar.ts';
import { decide } from '#models/pricing/decide.ts';
import { pricingVersion } from '#models/pricing/pricing-version.ts';
import type { DecisionInputs } from '#schemas/decision.ts';
import type { PriceAnswer, PriceRequest } from '#schemas/price.ts';
import type { Refusal } from '#schemas/problem.ts';
import { type Copy, copies, deploymentNow } from './copies.ts';
import { decisionId } from './decision-id.ts';
import type { PriceEnvironment } from './environment.ts';
import { count } from './metrics.ts';
import { addDecision } from './outbox-batch.ts';
import { hashUser } from './user.ts';

/** Names this isolate in its decisions; made by the first request, since no randomness is allowed before one. */
let isolate: string | undefined;
let sequence = 0;

/**
 * Prices requests that fit their schema, in order, all of one region from one snapshot; each decision goes to the Outbox behind the answer.
 * A refusal is unknown_region, unknown_product, or unavailable where nobody that answers knows the region.
 */
export async function answerPrices(
	requests: readonly PriceRequest[],
	options: { traceId: string; env: PriceEnvironment; ctx: ExecutionContext },
): Promise<(PriceAnswer | Refusal)[]> {
	const { traceId, env, ctx } = options;
	const found = await copies([...new Set(requests.map((request) => request.region_id))], env, ctx);
	return Promise.all(
		requests.map(async (request) => {
			const copy = found.get(request.region_id);
			if (copy === undefined || copy === 'absent')
				return { code: 'unavailable', detail: `Nobody that answers knows region "${request.region_id}" at the moment` } satisfies Refusal;
			if (copy === 'unknown') return { code: 'unknown_region', detail: `There is no region "${request.region_id}"` } satisfies Refusal;
			const user = request.user_id === undefined ? undefined : await hashUser(request.user_id, env.USER_PEPPER);
			return answerPrice(request, copy, { user, traceId, env, ctx });
		}),
	);
}

function answerPrice(
	request: PriceRequest,
	{ snapshot, ruleSet }: Copy,
	options: { user: { user_hash: string; bucket: number } | undefined; traceId: string; env: PriceEnvironment; ctx: ExecutionContext },
): PriceAnswer | Refusal {
	const { user, traceId, env, ctx } = options;
	const decidedAt = deploymentNow(request.region_id, Number(env.PARTITIONS));
	const inputs: DecisionInputs = {
		request: { product_type: request.product_type, attributes: request.attributes ?? {}, bucket: user?.bucket ?? null },
		decided_at: decidedAt,
		at: localTime(decidedAt, snapshot.region.time_zone),
		snapshot,
		arm: 'champion',
		experiment: null,
	};
	const decided = decide(inputs, ruleSet);
	if (!decided.ok) return decided.refusal;
	const answer: PriceAnswer = { decision_id: decisionId(Date.now()), trace_id: traceId, ...decided.outcome };
	if (decided.condition_errors > 0) count('surgecast_edge_condition_errors_total', '', decided.condition_errors);
	count('surgecast_edge_prices_total', `status="${answer.status}"`);
	isolate ??= crypto.randomUUID();
	sequence += 1;
	const { snapshot: _, decided_at: __, ...rest } = inputs;
	addDecision(
		{
			decision_id: answer.decision_id,
			region_id: request.region_id,
			decided_at: decidedAt,
			isolate,
			sequence,
			answer,
			inputs: {
				...rest,
				snapshot_id: snapshot.snapshot_id,
				timestamp: request.timestamp ?? null,
				user_hash: user?.user_hash ?? null,
				pricing: pricingVersion,
				rule_set_digest: snapshot.rule_set.digest,
			},
		},
		{ snapshot, env, ctx },
	);
	return answer;
}
