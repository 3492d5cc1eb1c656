import type { controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import { FEATURE_SET, featureNames } from '#schemas/feature.ts';
import { formatInstant } from '#schemas/instant.ts';
import { limits } from '#schemas/limits.ts';
import {
	decisionCursor,
	decisionId,
	listDecisions,
	type ReplayableDecision,
	readDecision,
	readReplayable,
	type StoredDecision,
} from '../database/decisions.ts';
import { readCursor } from '../database/page.ts';
import type { Handlers, Refused } from '../door.ts';
import { createReplay } from '../replay.ts';
import type { Parts } from './parts.ts';

const unknown = (id: string): Refused => ({ code: 'not_found', detail: `There is no decision ${JSON.stringify(id.slice(0, 80))}.` });

const shown = ({ answer, inputs }: StoredDecision) => ({
	...answer,
	timestamp: inputs.timestamp === null ? null : formatInstant(inputs.timestamp),
	user_hash: inputs.user_hash,
});

/** All that `decide` read, for reading: features by name, the client's word as an instant. */
function shownInputs({ decided_at, inputs, snapshot, document }: ReplayableDecision) {
	const { timestamp, snapshot_id, ...rest } = inputs;
	const features = snapshot?.features;
	return {
		...rest,
		decided_at: formatInstant(decided_at),
		timestamp: timestamp === null ? null : formatInstant(timestamp),
		snapshot_id,
		snapshot: snapshot && {
			...snapshot,
			features: features && {
				feature_set: FEATURE_SET,
				version: features.version,
				as_of: formatInstant(features.as_of),
				values: Object.fromEntries(featureNames.map((name, at) => [name, features.values[at] ?? null])),
			},
		},
		rule_set_document: document === null ? null : (JSON.parse(document) as unknown),
	};
}

/** The audit: stored decisions, and their proof. */
export function decisionHandlers({ connection }: Parts) {
	return {
		'GET /api/v1/decisions': async ({ query }) => {
			const at = readCursor(query.cursor, decisionCursor);
			if (!at.ok) return { code: 'invalid', detail: 'The query does not fit the schema; see errors.', errors: at.errors };
			const { region_id: regionId, from, to, limit } = query;
			const page = await listDecisions(connection, { regionId, from, to, before: at.position, limit });
			return { status: 200, body: { items: page.items.map(shown), next_cursor: page.next_cursor } };
		},

		'GET /api/v1/decisions/{decision_id}': async ({ params }) => {
			const stored = decisionId.safeParse(params.decision_id).success ? await readDecision(connection, params.decision_id) : undefined;
			return stored ? { status: 200, body: shown(stored) } : unknown(params.decision_id);
		},

		'GET /api/v1/decisions/{decision_id}/explain': async ({ params }) => {
			const stored = decisionId.safeParse(params.decision_id).success ? await readReplayable(connection, params.decision_id) : undefined;
			if (!stored) return unknown(params.decision_id);
			const differences = createReplay()(stored);
			const body = {
				decision_id: stored.decision_id,
				reproduces: differences.length === 0,
				differences: differences.slice(0, limits.differences_max),
				decision: shown(stored),
				inputs: shownInputs(stored),
			};
			return { status: 200, body };
		},
	} satisfies Partial<Handlers<typeof controlPlaneRoutes>>;
}
