import type { controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import { slug } from '#schemas/identifier.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import type { FieldError } from '#schemas/problem.ts';
import type { Region } from '#schemas/region.ts';
import { recordConfigChange } from '../database/config-changes.ts';
import { lockConfiguration } from '../database/database.ts';
import { countRegions, listRegions, readRegion, writeFrozen, writeRegion } from '../database/regions.ts';
import { readCurrentRelease } from '../database/releases.ts';
import type { Handlers, Refused } from '../door.ts';
import { expandHolidays } from '../holidays.ts';
import { UnavailableError } from '../unavailable-error.ts';
import { numberedList } from './numbered-list.ts';
import { authorOf, type Parts } from './parts.ts';

const unknownRegion = (id: string): Refused => ({ code: 'unknown_region', detail: `There is no region ${JSON.stringify(id.slice(0, 80))}.` });
const invalid = (error: FieldError): Refused => ({ code: 'invalid', detail: 'The region does not fit; see errors.', errors: [error] });

/** What a change of the catalogue says of an entry: the part that people write. */
const written = ({ version: _, holiday_dates: __, ...entry }: Region) => entry;

/** The catalogue: written first, then pushed to the entry's shard, then answered. */
export function regionHandlers({ connection, edge, publishing, reconciler, partitions, clock }: Parts) {
	/** The entry to its shard, behind a release that has its rule set. Null, or why it is not there yet. */
	const pushEntry = async (entry: Region): Promise<Refused | null> => {
		const shard = partition(entry.region_id, partitions);
		try {
			await publishing.ensureShard(shard);
			await edge.pushEntries({ shard, entries: [entry] });
			return null;
		} catch (error) {
			if (!(error instanceof UnavailableError)) throw error;
			reconciler.soon();
			return { code: 'unavailable', detail: `The entry is kept, but shard ${shard} does not take it now; it arrives there later. ${error.message}` };
		}
	};

	return {
		'GET /api/v1/regions': ({ query }) => numberedList(query, (options) => listRegions(connection, options)),

		'GET /api/v1/regions/{region_id}': async ({ params }) => {
			const entry = slug.safeParse(params.region_id).success ? await readRegion(connection, params.region_id) : undefined;
			return entry ? { status: 200, body: entry } : unknownRegion(params.region_id);
		},

		'PUT /api/v1/regions/{region_id}': async (call) => {
			const { region_id: regionId } = call.params;
			const id = slug.safeParse(regionId);
			if (!id.success) return invalid({ path: '/region_id', message: `in the path ${id.error.issues[0]?.message}` });
			const input = call.body;
			const holidayDates = input.holidays === null ? [] : await expandHolidays(input.holidays, { now: clock() });
			if (holidayDates === null) return invalid({ path: '/holidays', message: `${JSON.stringify(input.holidays)} is not a known country or subdivision` });
			const change = await connection.transaction(async (transaction): Promise<{ before: Region | undefined; after: Region } | Refused> => {
				await lockConfiguration(transaction);
				const published = (await readCurrentRelease(transaction))?.content.rule_sets ?? {};
				if (!Object.hasOwn(published, input.rule_set))
					return invalid({ path: '/rule_set', message: `rule set ${JSON.stringify(input.rule_set)} is not published` });
				if ((await countRegions(transaction)) >= limits.regions_max && !(await readRegion(transaction, regionId)))
					return { code: 'conflict', detail: `There are ${limits.regions_max} regions already.` };
				const done = await writeRegion(transaction, { regionId, input, holidayDates });
				await recordConfigChange(transaction, { ...authorOf(call), from: done.before ? written(done.before) : null, to: written(done.after) });
				return done;
			});
			if ('code' in change) return change;
			const { before, after } = change;
			return (await pushEntry(after)) ?? { status: before ? 200 : 201, body: after };
		},

		'PUT /api/v1/regions/{region_id}/freeze': async (call) => {
			const { region_id: regionId } = call.params;
			const { frozen } = call.body;
			const change = await connection.transaction(async (transaction) => {
				await lockConfiguration(transaction);
				const done = slug.safeParse(regionId).success ? await writeFrozen(transaction, { regionId, frozen }) : undefined;
				if (done) await recordConfigChange(transaction, { ...authorOf(call), from: { frozen: done.before.frozen }, to: { frozen } });
				return done;
			});
			if (!change) return unknownRegion(regionId);
			return (await pushEntry(change.after)) ?? { status: 200, body: change.after };
		},
	} satisfies Partial<Handlers<typeof controlPlaneRoutes>>;
}
