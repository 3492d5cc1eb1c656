import type { DecisionRecord } from '#schemas/decision.ts';
import { limits } from '#schemas/limits.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import { objectStub } from '../object-stub.ts';
import { patience } from '../patience.ts';
import type { PriceEnvironment } from './environment.ts';
import { count } from './metrics.ts';

/** Characters of a batch: a row of an object's storage holds 2 MB, and a character may be three bytes. */
const BATCH_CHARS_MAX = 600_000;
/** Batches handed over at once when many wait. */
const SEND_BATCHES_MAX = 8;
/** An append that takes longer counts as failed; if it was applied after all, the stores keep each decision once. */
const APPEND_MS = 5000;
/** After a failure nothing is sent for so long. */
const FAILED_MS = 500;

interface Batch {
	opened_at: number;
	/** JSON texts of DecisionRecords. */
	decisions: string[];
	/** JSON texts; each snapshot travels once a batch, by its id. */
	snapshots: Map<string, string>;
	chars: number;
}

let open: Batch | undefined;
/** Batches that no Outbox took yet, oldest first. */
const unsent: { body: string; decisions: number }[] = [];
let unsentDecisions = 0;
let failedAt = 0;

function keep(batch: { body: string; decisions: number }): void {
	unsent.push(batch);
	unsentDecisions += batch.decisions;
	while (unsent.length > 1 && unsentDecisions > limits.outbox_unsent_max) {
		const { decisions } = unsent.shift()!;
		unsentDecisions -= decisions;
		count('surgecast_edge_decisions_total', 'dropped', decisions);
	}
}

function close(batch: Batch): void {
	if (open === batch) open = undefined;
	keep({ body: `{"decisions":[${batch.decisions.join(',')}],"snapshots":[${[...batch.snapshots.values()].join(',')}]}`, decisions: batch.decisions.length });
}

/** Hands over what is closed, oldest first; what no Outbox takes waits for the next batch. */
async function send(env: PriceEnvironment): Promise<void> {
	if (Date.now() - failedAt < FAILED_MS) return;
	const batches = unsent.splice(0, SEND_BATCHES_MAX);
	for (const { decisions } of batches) unsentDecisions -= decisions;
	await Promise.all(
		batches.map(async (batch) => {
			const first = Math.floor(Math.random() * limits.outboxes);
			if ((await append(batch.body, first, env)) || (await append(batch.body, (first + 1) % limits.outboxes, env)))
				return count('surgecast_edge_decisions_total', 'handed', batch.decisions);
			failedAt = Date.now();
			count('surgecast_edge_decisions_total', 'kept', batch.decisions);
			console.error(JSON.stringify({ message: 'no Outbox takes a batch', decisions: batch.decisions }));
			keep(batch);
		}),
	);
}

/** Whether Outbox n has stored the batch. */
async function append(body: string, n: number, env: PriceEnvironment): Promise<boolean> {
	const appending = async () => {
		await objectStub(env.OUTBOX, `outbox/${n}`, env).append(body);
		return true;
	};
	return (await patience(appending(), APPEND_MS)) ?? false;
}

/**
 * Adds a decision to the open batch, its answer as the text that the client gets. The request that opens a batch sends it within 50 ms under its own
 * waitUntil; an open batch older than a second (its request died) is taken over by the next. So loss is bounded to one batch of a dead isolate, and
 * seen by the sequence numbers.
 */
export function addDecision(
	record: Omit<DecisionRecord, 'answer'>,
	options: { answer: string; snapshot: Snapshot; env: PriceEnvironment; ctx: ExecutionContext },
): void {
	const { answer, snapshot, env, ctx } = options;
	const now = Date.now();
	if (open && now - open.opened_at > limits.outbox_takeover_ms) {
		close(open);
		ctx.waitUntil(send(env));
	}
	let batch = open;
	if (!batch) {
		const opened: Batch = { opened_at: now, decisions: [], snapshots: new Map(), chars: 0 };
		batch = opened;
		open = opened;
		ctx.waitUntil(
			new Promise((resolve) => setTimeout(resolve, limits.outbox_batch_ms)).then(() => {
				if (open === opened) close(opened);
				return send(env);
			}),
		);
	}
	const text = `${JSON.stringify(record).slice(0, -1)},"answer":${answer}}`;
	batch.decisions.push(text);
	batch.chars += text.length;
	if (!batch.snapshots.has(snapshot.snapshot_id)) {
		const snapshotText = JSON.stringify(snapshot);
		batch.snapshots.set(snapshot.snapshot_id, snapshotText);
		batch.chars += snapshotText.length;
	}
	if (batch.decisions.length >= limits.outbox_batch_decisions_max || batch.chars >= BATCH_CHARS_MAX) {
		close(batch);
		ctx.waitUntil(send(env));
	}
}

/** Hands over the open batch and what waits, now. */
export async function flushDecisions(env: PriceEnvironment): Promise<void> {
	if (open) close(open);
	await send(env);
}
