import { sql } from 'drizzle-orm';
import * as z from 'zod';
import type { Connection } from './database.ts';
import { decision, snapshot } from './schema.ts';

const counted = z.object({ rows: z.tuple([z.object({ deleted: z.int() })]) });
const walked = z.object({ rows: z.tuple([z.object({ deleted: z.int(), last: z.string().nullable() })]) });

/** Deletes, row by row, decisions with decided_at < before, the oldest first, `limit` at most. @returns how many. */
export async function deleteDecisions(connection: Connection, { before, limit }: { before: number; limit: number }): Promise<number> {
	const result = await connection.execute(sql`
		with old as (
			select decision_id from ${decision} where decided_at < ${before}::bigint order by decided_at, decision_id limit ${limit}::integer),
		gone as (delete from ${decision} where decided_at < ${before}::bigint and decision_id in (select decision_id from old) returning 1)
		select count(*)::integer as deleted from gone`);
	return counted.parse(result).rows[0].deleted;
}

/**
 * Looks at the next `limit` snapshots by their ids and deletes those that no decision refers to. Young ones are left alone: their decisions may still be on
 * the way. `storeDecisions` makes a snapshot young again before decisions come to refer to it, so none is deleted under a decision's feet.
 * @returns `last` is where to go on; null behind the end.
 */
export async function deleteUnusedSnapshots(
	connection: Connection,
	{ after, storedBefore, limit }: { after: string; storedBefore: number; limit: number },
): Promise<{ deleted: number; last: string | null }> {
	const result = await connection.execute(sql`
		with seen as (
			select snapshot_id from ${snapshot} where snapshot_id > ${after}::text order by snapshot_id limit ${limit}::integer),
		gone as (
			delete from ${snapshot}
			where snapshot_id in (select snapshot_id from seen)
				and created_at < ${storedBefore}::bigint
				and not exists (select 1 from ${decision} where ${decision.snapshot_id} = ${snapshot.snapshot_id})
			returning 1)
		select (select count(*) from gone)::integer as deleted, (select max(snapshot_id) from seen) as last`);
	return walked.parse(result).rows[0];
}
