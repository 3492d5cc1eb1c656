import { localTime } from '#models/calendar.ts';
import { decide } from '#models/pricing/decide.ts';
import { pricingVersion } from '#models/pricing/pricing-version.ts';
import type { Arm, DecisionInputs } from '#schemas/decision.ts';
import type { PriceAnswer, PriceRequest } from '#schemas/price.ts';
import type { Refusal } from '#schemas/problem.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import { type Copy, copies, copyAtHand, deploymentNow, type Found } from './copies.ts';
import { decisionId } from './decision-id.ts';
import type { PriceEnvironment } from './environment.ts';
import { count } from './metrics.ts';
import { addDecision } from './outbox-batch.ts';
import { hashUser } from './user.ts';

interface Options {
	traceId: string;
	env: PriceEnvironment;
	ctx: ExecutionContext;
}

/** Names this isolate in its decisions; made by the first request, since no randomness is allowed before one. */
let isolate: string | undefined;
let sequence = 0;

/**
 * Prices requests that fit their schema, in order, all of one region from one snapshot; each decision goes to the Outbox behind the answer.
 * An answer is the JSON text of a PriceAnswer: the same text is the client's and the record's. A refusal is unknown_region, unknown_product, or
 * unavailable where nobody that answers knows the region.
 */
export async function answerPrices(requests: readonly PriceRequest[], options: Options): Promise<(string | Refusal)[]> {
	const found = await copies([...new Set(requests.map((request) => request.region_id))], options.env, options.ctx);
	return requests.map((request) => answerFound(request, found.get(request.region_id) ?? 'absent', options));
}

/** One price: without a wait where the isolate has a copy. */
export async function answerPrice(request: PriceRequest, options: Options): Promise<string | Refusal> {
	const { region_id } = request;
	const copy = copyAtHand(region_id, options.env, options.ctx) ?? (await copies([region_id], options.env, options.ctx)).get(region_id);
	return answerFound(request, copy ?? 'absent', options);
}

function answerFound(request: PriceRequest, found: Found, options: Options): string | Refusal {
	if (found === 'absent') return { code: 'unavailable', detail: `Nobody that answers knows region "${request.region_id}" at the moment` };
	if (found === 'unknown') return { code: 'unknown_region', detail: `There is no region "${request.region_id}"` };
	const user = request.user_id === undefined ? undefined : hashUser(request.user_id, options.env.USER_PEPPER);
	return price(request, found, { ...options, user });
}

function price(
	request: PriceRequest,
	{ snapshot, ruleSet }: Copy,
	{ traceId, env, ctx, user }: Options & { user: { user_hash: string; bucket: number } | undefined },
): string | Refusal {
	const decided_at = deploymentNow(request.region_id, env);
	const inputs: DecisionInputs = {
		request: { product_type: request.product_type, attributes: request.attributes ?? {}, bucket: user?.bucket ?? null },
		decided_at,
		at: localTime(decided_at, snapshot.region.time_zone),
		snapshot,
		arm: armOf(snapshot, user?.bucket),
		experiment: null,
	};
	const decided = decide(inputs, ruleSet);
	if (!decided.ok) return decided.refusal;
	const answer: PriceAnswer = { decision_id: decisionId(Date.now()), trace_id: traceId, ...decided.outcome };
	if (decided.condition_errors > 0) count('surgecast_edge_condition_errors_total', '', decided.condition_errors);
	count('surgecast_edge_prices_total', answer.status);
	const text = JSON.stringify(answer);
	isolate ??= crypto.randomUUID();
	addDecision(
		{
			decision_id: answer.decision_id,
			region_id: request.region_id,
			decided_at,
			isolate,
			sequence: ++sequence,
			inputs: {
				request: inputs.request,
				at: inputs.at,
				arm: inputs.arm,
				experiment: inputs.experiment,
				snapshot_id: snapshot.snapshot_id,
				timestamp: request.timestamp ?? null,
				user_hash: user?.user_hash ?? null,
				pricing: pricingVersion,
				rule_set_digest: snapshot.rule_set.digest,
			},
		},
		{ answer: text, snapshot, env, ctx },
	);
	return text;
}

/** A canary forecasts for its share of the users: always the same ones, by their buckets. */
function armOf({ forecasts }: Snapshot, bucket: number | undefined): Arm {
	return bucket !== undefined && forecasts?.canary && bucket < (forecasts.canary_percent ?? 0) ? 'canary' : 'champion';
}
