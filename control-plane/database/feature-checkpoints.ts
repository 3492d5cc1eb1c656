import { and, asc, eq, lt, sql } from 'drizzle-orm';
import { type FeatureCheckpoint, type FeatureCheckpoints, Fenced, type RegionState } from '#schemas/feature-checkpoints.ts';
import type { Connection } from './database.ts';
import { featureIds, featureOwner, featureProgress, featureRegion, featureRegionDay } from './schema.ts';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');

/**
 * The feature worker's checkpoints in the database, for logs that cannot keep them. State and position of a partition are one transaction, which holds the
 * row of its owner: an older owner's save waits for a newer one's claim, and is then refused.
 */
export function databaseCheckpoints(connection: Connection): FeatureCheckpoints {
	/** The owner's epoch, its row held for the rest of the transaction; 0 before any. */
	async function held(transaction: Connection, part: number): Promise<number> {
		await transaction.insert(featureOwner).values({ part, epoch: 0 }).onConflictDoNothing();
		const [row] = await transaction.select({ epoch: featureOwner.epoch }).from(featureOwner).where(eq(featureOwner.part, part)).for('update');
		return row?.epoch ?? 0;
	}
	async function own(transaction: Connection, part: number, epoch: number): Promise<number> {
		await transaction.update(featureOwner).set({ epoch }).where(eq(featureOwner.part, part));
		return epoch;
	}

	return {
		claim: (part) => connection.transaction(async (transaction) => own(transaction, part, (await held(transaction, part)) + 1)),
		raise: (part, { epoch, above }) =>
			connection.transaction(async (transaction) => {
				const owner = await held(transaction, part);
				if (owner !== epoch) throw new Fenced(`Cannot raise the epoch of partition ${part} from ${epoch}: epoch ${owner} owns it`);
				return own(transaction, part, Math.max(epoch, above) + 1);
			}),
		async owner(part) {
			const [row] = await connection.select({ epoch: featureOwner.epoch }).from(featureOwner).where(eq(featureOwner.part, part));
			return row?.epoch ?? 0;
		},
		load: (part) =>
			// One instant of all tables: a save between two of these queries would tear state and position apart.
			connection.transaction(
				async (transaction) => {
					const [row] = await transaction.select().from(featureProgress).where(eq(featureProgress.part, part));
					if (!row) return undefined;
					const regions = new Map<string, RegionState>();
					for (const { part: _, ...state } of await transaction.select().from(featureRegion).where(eq(featureRegion.part, part)))
						regions.set(state.region_id, { ...state, days: [] });
					for (const { region_id, day, counts } of await transaction.select().from(featureRegionDay).where(eq(featureRegionDay.part, part)))
						regions.get(region_id)?.days.push({ day, counts });
					const ids = await transaction
						.select({ bucket: featureIds.bucket, hashes: featureIds.hashes })
						.from(featureIds)
						.where(eq(featureIds.part, part))
						.orderBy(asc(featureIds.bucket), asc(featureIds.chunk));
					return { ...(JSON.parse(row.body) as Pick<FeatureCheckpoint, 'progress'>), regions: [...regions.values()], ids };
				},
				{ isolationLevel: 'repeatable read', accessMode: 'read only' },
			),
		async save(part, { epoch, anew, progress, regions, ids, forgotten_buckets_below, forgotten_days_below }) {
			// A parameter a table, however many rows.
			const states = JSON.stringify(regions.map(({ region_id, recent, active }) => ({ region_id, recent: base64(recent), active: base64(active) })));
			const days = JSON.stringify(regions.flatMap(({ region_id, days: own }) => own.map(({ day, counts }) => ({ region_id, day, counts: base64(counts) }))));
			const hashes = JSON.stringify(ids.map(({ bucket, hashes: own }, index) => ({ bucket, index, hashes: base64(own) })));
			await connection.transaction(async (transaction) => {
				const owner = await held(transaction, part);
				if (owner > epoch) throw new Fenced(`Cannot save partition ${part} as epoch ${epoch}: epoch ${owner} owns it`);
				if (anew) for (const table of [featureRegion, featureRegionDay, featureIds]) await transaction.delete(table).where(eq(table.part, part));
				const body = JSON.stringify({ progress });
				await transaction.insert(featureProgress).values({ part, body }).onConflictDoUpdate({ target: featureProgress.part, set: { body } });
				await transaction.execute(sql`
					insert into ${featureRegion} (part, region_id, recent, active)
					select ${part}::integer, region_id, decode(recent, 'base64'), decode(active, 'base64')
					from json_to_recordset(${states}::json) as row(region_id text, recent text, active text)
					on conflict (part, region_id) do update set recent = excluded.recent, active = excluded.active`);
				await transaction.execute(sql`
					insert into ${featureRegionDay} (part, region_id, day, counts)
					select ${part}::integer, region_id, day, decode(counts, 'base64')
					from json_to_recordset(${days}::json) as row(region_id text, day integer, counts text)
					on conflict (part, region_id, day) do update set counts = excluded.counts`);
				await transaction.execute(sql`
					insert into ${featureIds} (part, bucket, chunk, hashes)
					select ${part}::integer, bucket,
						index + (select coalesce(max(chunk), 0) + 1 from ${featureIds} where part = ${part}::integer), decode(hashes, 'base64')
					from json_to_recordset(${hashes}::json) as row(bucket integer, index integer, hashes text)`);
				await transaction.delete(featureRegionDay).where(and(eq(featureRegionDay.part, part), lt(featureRegionDay.day, forgotten_days_below)));
				await transaction.delete(featureIds).where(and(eq(featureIds.part, part), lt(featureIds.bucket, forgotten_buckets_below)));
			});
		},
	};
}
