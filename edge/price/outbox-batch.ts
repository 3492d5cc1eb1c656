import type { DecisionRecord } from '#schemas/decision.ts';
import { limits } from '#schemas/limits.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import { objectStub } from '../object-stub.ts';
import { patience } from '../patience.ts';
import type { OutboxStanding } from '../shard/outbox.ts';
import type { PriceEnvironment } from './environment.ts';
import { count } from './metrics.ts';

interface Batch {
	opened_at: number;
	/** JSON texts of DecisionRecords. */
	decisions: string[];
	/** JSON texts; each snapshot travels once a batch, by its id. */
	snapshots: Map<string, string>;
	chars: number;
}

interface Closed {
	body: string;
	decisions: number;
}

let open: Batch | undefined;
/** Batches that no Outbox took yet, oldest first. */
const unsent: Closed[] = [];
/** Of those, and of what is on its way to an Outbox. */
let chars = 0;
let failedAt = 0;
/** What the Outboxes last said of themselves, by number. */
const standings = new Map<number, OutboxStanding>();

export const outboxStandings = (): ReadonlyMap<number, OutboxStanding> => standings;

/** Drops the oldest that wait, until the rest is within the limit. */
function bound(): void {
	while (chars > limits.outbox_unsent_chars_max) {
		const oldest = unsent.shift();
		if (!oldest) return;
		chars -= oldest.body.length;
		count('surgecast_edge_decisions_total', 'dropped', oldest.decisions);
	}
}

function close(batch: Batch): void {
	if (open === batch) open = undefined;
	const body = `{"decisions":[${batch.decisions.join(',')}],"snapshots":[${[...batch.snapshots.values()].join(',')}]}`;
	chars += body.length;
	unsent.push({ body, decisions: batch.decisions.length });
	bound();
}

/** Hands over what is closed, oldest first; what no Outbox takes waits for the next batch. */
async function send(env: PriceEnvironment): Promise<void> {
	if (Date.now() - failedAt < limits.outbox_failed_ms) return;
	await Promise.all(
		unsent.splice(0, limits.outbox_appends_max).map(async (batch) => {
			const first = Math.floor(Math.random() * limits.outboxes);
			if ((await append(batch.body, first, env)) || (await append(batch.body, (first + 1) % limits.outboxes, env))) {
				chars -= batch.body.length;
				return count('surgecast_edge_decisions_total', 'handed', batch.decisions);
			}
			failedAt = Date.now();
			count('surgecast_edge_decisions_total', 'kept', batch.decisions);
			console.error(JSON.stringify({ message: 'no Outbox takes a batch', decisions: batch.decisions }));
			unsent.unshift(batch);
			bound();
		}),
	);
}

/** Whether Outbox n has stored the batch. */
async function append(body: string, n: number, env: PriceEnvironment): Promise<boolean> {
	const appending = async () => objectStub(env.OUTBOX, `outbox/${n}`, env).append(body);
	const standing = await patience(appending(), limits.outbox_append_ms);
	if (standing) standings.set(n, standing);
	return standing?.taken ?? false;
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
	if (batch.decisions.length >= limits.outbox_batch_decisions_max || batch.chars >= limits.outbox_batch_chars_max) {
		close(batch);
		ctx.waitUntil(send(env));
	}
}

/** Hands over the open batch and what waits, now. */
export async function flushDecisions(env: PriceEnvironment): Promise<void> {
	if (open) close(open);
	await send(env);
}
