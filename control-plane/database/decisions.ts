import { and, asc, desc, eq, gte, lt, lte, sql } from 'drizzle-orm';
import * as z from 'zod';
import type { DecisionBatch, DecisionRecord } from '#schemas/decision.ts';
import { limits } from '#schemas/limits.ts';
import type { PriceAnswer } from '#schemas/price.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import type { Connection } from './database.ts';
import { lacksDay, makeDecisionDays } from './decision-days.ts';
import { type Page, toPage } from './page.ts';
import { decision, ruleSet, snapshot } from './schema.ts';

/** A decision as it was stored. */
export interface StoredDecision {
	decision_id: string;
	region_id: string;
	/** Milliseconds since 1970. */
	decided_at: number;
	answer: PriceAnswer;
	inputs: DecisionRecord['inputs'];
}

/** A decision with everything that a replay needs; null what is not there. */
export interface ReplayableDecision extends StoredDecision {
	snapshot: Snapshot | null;
	/** The rule set's document, compact JSON. */
	document: string | null;
}

/** What a decision's id looks like; nothing else is asked of Postgres, which takes no NUL in a text. */
export const decisionId = z.string().regex(/^[\w-]{1,128}$/);

/** The cursor of the list of decisions. */
export const decisionCursor = z.tuple([z.int(), decisionId]);
type Position = z.output<typeof decisionCursor>;

/**
 * Stores a batch: the snapshots first, then the decisions, in one transaction. What is there already is left as it is, so a batch may come again.
 * The partition of a day is made when the first decision of it comes.
 * @param now the wall clock, milliseconds.
 * @returns how many decisions were new.
 * @throws when the batch is of yet another day and there are limits.decision_partitions_max partitions already.
 */
export async function storeDecisions(connection: Connection, batch: DecisionBatch, now = Date.now()): Promise<{ stored: number }> {
	if (batch.decisions.length === 0 && batch.snapshots.length === 0) return { stored: 0 };
	// One parameter a statement, however many rows: ten times as fast in PGlite as a parameter a column.
	const snapshots = JSON.stringify(batch.snapshots.map((one) => ({ snapshot_id: one.snapshot_id, body: JSON.stringify(one) })));
	const decisions = JSON.stringify(
		batch.decisions.map(({ answer, inputs, ...row }) => ({
			...row,
			status: answer.status,
			release: answer.versions.release,
			rule_set: answer.versions.rule_set,
			user_hash: inputs.user_hash,
			snapshot_id: inputs.snapshot_id,
			answer: JSON.stringify(answer),
			inputs: JSON.stringify(inputs),
		})),
	);
	const store = () =>
		connection.transaction(async (transaction) => {
			// A snapshot that decisions come to refer to is young again: retention leaves it alone (database/retention.ts).
			await transaction.execute(sql`
			insert into ${snapshot} (snapshot_id, body, created_at)
			select distinct on (snapshot_id) snapshot_id, body, ${now}::bigint from json_to_recordset(${snapshots}::json) as row(snapshot_id text, body text)
			on conflict (snapshot_id) do update set created_at = excluded.created_at
			where ${snapshot.created_at} < excluded.created_at - ${limits.snapshot_unused_ms / 2}::bigint`);
			const inserted = await transaction.execute(sql`
			with fresh as (
				insert into ${decision}
					(decision_id, region_id, decided_at, status, release, rule_set, user_hash, snapshot_id, isolate, sequence, answer, inputs)
				select * from json_to_recordset(${decisions}::json) as row(
					decision_id text, region_id text, decided_at bigint, status text, release integer, rule_set integer, user_hash text, snapshot_id text,
					isolate text, sequence integer, answer text, inputs text)
				on conflict do nothing
				returning 1)
			select count(*)::integer as stored from fresh`);
			return z.object({ stored: z.int() }).parse((inserted as { rows: unknown[] }).rows[0]);
		});
	try {
		return await store();
	} catch (error) {
		// Asked of the table itself, not remembered: another process drops days, too. One that is dropped between these two lines is for the caller's retry.
		if (!lacksDay(error)) throw error;
		await makeDecisionDays(
			connection,
			batch.decisions.map(({ decided_at }) => decided_at),
		);
		return store();
	}
}

const columns = {
	decision_id: decision.decision_id,
	region_id: decision.region_id,
	decided_at: decision.decided_at,
	answer: decision.answer,
	inputs: decision.inputs,
};

type Row = Pick<typeof decision.$inferSelect, keyof typeof columns>;

function toStored({ answer, inputs, ...row }: Row): StoredDecision {
	return { ...row, answer: JSON.parse(answer) as PriceAnswer, inputs: JSON.parse(inputs) as DecisionRecord['inputs'] };
}

const position = (row: Pick<Row, 'decided_at' | 'decision_id'>): Position => [row.decided_at, row.decision_id];

/** from <= decided_at < to, newest first; `before` is a position of the list. */
export async function listDecisions(
	connection: Connection,
	{
		regionId,
		from,
		to,
		before,
		limit,
	}: { regionId?: string | undefined; from?: number | undefined; to?: number | undefined; before?: Position | undefined; limit: number },
): Promise<Page<StoredDecision>> {
	const rows = await connection
		.select(columns)
		.from(decision)
		.where(
			and(
				regionId === undefined ? undefined : eq(decision.region_id, regionId),
				from === undefined ? undefined : gte(decision.decided_at, from),
				to === undefined ? undefined : lt(decision.decided_at, to),
				before && lte(decision.decided_at, before[0]), // said again, since the planner leaves out partitions by plain comparisons only
				before && sql`(${decision.decided_at}, ${decision.decision_id}) < (${before[0]}::bigint, ${before[1]}::text)`,
			),
		)
		.orderBy(desc(decision.decided_at), desc(decision.decision_id))
		.limit(limit + 1);
	return toPage(rows, { limit, item: toStored, position });
}

/** One decision. */
export async function readDecision(connection: Connection, decisionId: string): Promise<StoredDecision | undefined> {
	const [row] = await connection.select(columns).from(decision).where(eq(decision.decision_id, decisionId));
	return row && toStored(row);
}

const replayable = { ...columns, body: snapshot.body, document: ruleSet.document, digest: ruleSet.digest };

type ReplayableRow = Row & { body: string | null; document: string | null; digest: string | null };

function toReplayable({ body, document, digest, ...row }: ReplayableRow): ReplayableDecision {
	const stored = toStored(row);
	return {
		...stored,
		snapshot: body === null ? null : (JSON.parse(body) as Snapshot),
		// The very document that decided, or none: compared here, since Postgres reads no JSON that has \u0000 in a string.
		document: digest === stored.inputs.rule_set_digest ? document : null,
	};
}

/** One decision with what a replay needs. */
export async function readReplayable(connection: Connection, decisionId: string): Promise<ReplayableDecision | undefined> {
	const [row] = await connection
		.select(replayable)
		.from(decision)
		.leftJoin(snapshot, eq(snapshot.snapshot_id, decision.snapshot_id))
		.leftJoin(ruleSet, eq(ruleSet.version, decision.rule_set))
		.where(eq(decision.decision_id, decisionId));
	return row && toReplayable(row);
}

/** A page of decisions with what a replay needs, oldest first, after a position; `next` is null behind the last page. */
export async function readReplayablePage(
	connection: Connection,
	{ from, to, after, limit }: { from?: number | undefined; to?: number | undefined; after: Position | null; limit: number },
): Promise<{ decisions: ReplayableDecision[]; next: Position | null }> {
	const rows = await connection
		.select(replayable)
		.from(decision)
		.leftJoin(snapshot, eq(snapshot.snapshot_id, decision.snapshot_id))
		.leftJoin(ruleSet, eq(ruleSet.version, decision.rule_set))
		.where(
			and(
				from === undefined ? undefined : gte(decision.decided_at, from),
				to === undefined ? undefined : lt(decision.decided_at, to),
				after === null ? undefined : gte(decision.decided_at, after[0]), // see listDecisions
				after === null ? undefined : sql`(${decision.decided_at}, ${decision.decision_id}) > (${after[0]}::bigint, ${after[1]}::text)`,
			),
		)
		.orderBy(asc(decision.decided_at), asc(decision.decision_id))
		.limit(limit);
	const last = rows.at(-1);
	return { decisions: rows.map(toReplayable), next: last && rows.length === limit ? position(last) : null };
}
