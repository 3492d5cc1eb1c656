import type { controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import { FEATURE_SET, featureNames } from '#schemas/feature.ts';
import { slug } from '#schemas/identifier.ts';
import { formatInstant } from '#schemas/instant.ts';
import { listConfigChanges } from '../database/config-changes.ts';
import type { Handlers } from '../door.ts';
import { numberedList } from './numbered-list.ts';
import type { Parts } from './parts.ts';

/** What the edge has, and what people did. */
export function observingHandlers({ connection, edge }: Parts) {
	return {
		'GET /api/v1/features/{region_id}': async ({ params }) => {
			const { region_id: regionId } = params;
			const known = slug.safeParse(regionId).success ? await edge.regionFeatures(regionId) : null;
			if (!known) return { code: 'unknown_region', detail: `The edge has no region ${JSON.stringify(regionId.slice(0, 80))}.` };
			const { version, as_of, now, values } = known;
			const body = {
				region_id: regionId,
				feature_set: FEATURE_SET,
				version,
				as_of: as_of === null ? null : formatInstant(as_of),
				age_ms: as_of === null ? null : Math.max(0, Math.round(now - as_of)),
				features: Object.fromEntries(featureNames.map((name, at) => [name, values?.[at] ?? null])),
			};
			return { status: 200, body };
		},

		'GET /api/v1/config-changes': ({ query }) => numberedList(query, (options) => listConfigChanges(connection, options)),
	} satisfies Partial<Handlers<typeof controlPlaneRoutes>>;
}
