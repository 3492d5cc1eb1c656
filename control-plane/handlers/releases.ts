import type { controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Release } from '#schemas/release.ts';
import { listReleases, readAcknowledgements, readCurrentRelease, readRelease, type StoredRelease } from '../database/releases.ts';
import type { Handlers, Refused, Reply } from '../door.ts';
import { numberedList } from './numbered-list.ts';
import { authorOf, numberOf, type Parts } from './parts.ts';

const unknown = (release: string): Refused => ({ code: 'not_found', detail: `There is no release ${JSON.stringify(release.slice(0, 40))}.` });

const shown = ({ release, rule_sets, models, created_at, created_by }: Release) => ({
	release,
	rule_sets: Object.fromEntries(Object.entries(rule_sets).map(([name, { version }]) => [name, version])),
	models,
	created_at,
	created_by,
});

/** Releases, who has them, and the way back. */
export function releaseHandlers({ connection, publishing, partitions }: Parts) {
	const one = async (stored: StoredRelease | undefined, asked: string): Promise<Reply> => {
		if (!stored) return unknown(asked);
		const acknowledged = (await readAcknowledgements(connection, stored.content.release)).filter(({ shard }) => shard < partitions);
		const seen = new Set(acknowledged.map(({ shard }) => shard));
		const missing = Array.from({ length: partitions }, (_, shard) => shard).filter((shard) => !seen.has(shard));
		return { status: 200, body: { ...shown(stored.content), acknowledged: acknowledged.map(({ shard, at }) => ({ shard, at: formatInstant(at) })), missing } };
	};

	return {
		'GET /api/v1/releases': ({ query }) =>
			numberedList(query, async (options) => {
				const { items, next_cursor } = await listReleases(connection, options);
				return { items: items.map(shown), next_cursor };
			}),

		'GET /api/v1/releases/current': async () => one(await readCurrentRelease(connection), 'current'),

		'GET /api/v1/releases/{release}': async ({ params }) => {
			const number = numberOf(params.release);
			return one(number === null ? undefined : await readRelease(connection, number), params.release);
		},

		'POST /api/v1/releases/{release}/rollback': async (call) => {
			const number = numberOf(call.params.release);
			if (number === null) return unknown(call.params.release);
			const made = await publishing.rollback(number, authorOf(call));
			return 'code' in made ? made : { status: 201, body: { release: made.release } };
		},
	} satisfies Partial<Handlers<typeof controlPlaneRoutes>>;
}
