import type { DecisionRecord } from '#schemas/decision.ts';
import { limits } from '#schemas/limits.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import type { PriceEnvironment } from './environment.ts';
import { count } from './metrics.ts';

interface Batch {
	opened_at: number;
	decisions: DecisionRecord[];
	/** Each snapshot travels once a batch, by its id. */
	snapshots: Map<string, Snapshot>;
}

let open: Batch | undefined;
/** Batches that no Outbox took yet, oldest first. */
const unsent: { body: string; decisions: number }[] = [];

function close(batch: Batch): void {
	if (open === batch) open = undefined;
	const body = JSON.stringify({ decisions: batch.decisions, snapshots: [...batch.snapshots.values()] });
	unsent.push({ body, decisions: batch.decisions.length });
	while (unsent.length > 1 && unsent.reduce((sum, { decisions }) => sum + decisions, 0) > limits.outbox_unsent_max)
		count('surgecast_edge_decisions_total', 'outcome="dropped"', unsent.shift()?.decisions);
}

/** Hands over everything closed; what no Outbox takes waits for the next batch. */
async function send(env: PriceEnvironment): Promise<void> {
	const batches = unsent.splice(0);
	await Promise.all(
		batches.map(async (batch) => {
			try {
				await env.OUTBOX.getByName(`outbox/${Math.floor(Math.random() * limits.outboxes)}`).append(batch.body);
				count('surgecast_edge_decisions_total', 'outcome="handed"', batch.decisions);
			} catch (error) {
				count('surgecast_edge_decisions_total', 'outcome="kept"', batch.decisions);
				console.error(JSON.stringify({ message: 'no outbox takes a batch', error: error instanceof Error ? error.message : String(error) }));
				unsent.push(batch);
			}
		}),
	);
}

/**
 * Adds a decision to the open batch. The request that opens one sends it within 50 ms under its own waitUntil; an open batch older than a second
 * (its request died) is taken over by the next. So loss is bounded to one batch of a dead isolate, and seen by the sequence numbers.
 */
export function addDecision(record: DecisionRecord, options: { snapshot: Snapshot; env: PriceEnvironment; ctx: ExecutionContext }): void {
	const { snapshot, env, ctx } = options;
	const now = Date.now();
	if (open && now - open.opened_at > limits.outbox_takeover_ms) {
		close(open);
		ctx.waitUntil(send(env));
	}
	let batch = open;
	if (!batch) {
		const opened: Batch = { opened_at: now, decisions: [], snapshots: new Map() };
		batch = opened;
		open = opened;
		ctx.waitUntil(
			new Promise((resolve) => setTimeout(resolve, limits.outbox_batch_ms)).then(() => {
				if (open === opened) close(opened);
				return send(env);
			}),
		);
	}
	batch.decisions.push(record);
	batch.snapshots.set(snapshot.snapshot_id, snapshot);
	if (batch.decisions.length >= limits.outbox_batch_decisions_max) {
		close(batch);
		ctx.waitUntil(send(env));
	}
}
