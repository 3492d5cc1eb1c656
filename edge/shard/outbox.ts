import { DurableObject } from 'cloudflare:workers';
import { limits } from '#schemas/limits.ts';
import type { ShardEnvironment } from './environment.ts';
import { ownServiceToken } from './service-key.ts';

/** One request to ingestion. */
const SEND_MS = 10_000;

/**
 * `outbox/<0..7>`: batches of decisions on their way to the log, a row each. A batch is deleted when ingestion has answered 2xx, so it may arrive
 * twice, never not at all; the stores keep each decision once by its id.
 */
export class Outbox extends DurableObject<ShardEnvironment> {
	#alarmSet = false;
	#failures = 0;

	constructor(ctx: DurableObjectState, env: ShardEnvironment) {
		super(ctx, env);
		ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL) STRICT');
	}

	/** Keeps a batch (the JSON text of a DecisionBatch). Durable when this returns, its alarm too: both are written in one turn. */
	async append(body: string): Promise<void> {
		this.ctx.storage.sql.exec('INSERT INTO batch (body) VALUES (?)', body);
		if (this.#alarmSet) return;
		this.#alarmSet = true;
		await this.ctx.storage.setAlarm(Date.now() + limits.outbox_alarm_ms);
	}

	async waiting(): Promise<number> {
		return this.ctx.storage.sql.exec<{ n: number }>('SELECT count(*) AS n FROM batch').one().n;
	}

	/** Sends what waits, oldest first. Never throws: the runtime would give up after six failures. */
	override async alarm(): Promise<void> {
		this.#alarmSet = true;
		let sent = false;
		try {
			sent = await this.#send();
		} catch (error) {
			console.error(JSON.stringify({ message: 'outbox cannot send', error: error instanceof Error ? error.message : String(error) }));
		}
		this.#failures = sent ? 0 : this.#failures + 1;
		// Set before the count, so that an append during this handler finds no alarm and sets one.
		this.#alarmSet = false;
		if ((await this.waiting()) === 0) return;
		this.#alarmSet = true;
		const delay = sent ? limits.outbox_alarm_ms : Math.min(limits.outbox_retry_ms_max, limits.outbox_alarm_ms * 2 ** this.#failures);
		await this.ctx.storage.setAlarm(Date.now() + delay);
	}

	/** One request with as many batches as fit, a line each. Whether ingestion took them. */
	async #send(): Promise<boolean> {
		const ids: number[] = [];
		const lines: string[] = [];
		let size = 0;
		for (const { id, body } of this.ctx.storage.sql.exec<{ id: number; body: string }>('SELECT id, body FROM batch ORDER BY id')) {
			if (size > 0 && size + body.length > limits.outbox_send_bytes_max) break;
			size += body.length;
			ids.push(id);
			lines.push(body);
		}
		if (ids.length === 0) return true;
		// Cleared below: a timer that is left (AbortSignal.timeout) would keep the object in memory for its whole time.
		const controller = new AbortController();
		const timer = setTimeout(() => controller.abort(), SEND_MS);
		let answer: Response;
		try {
			answer = await fetch(`${this.env.INGEST_URL}/internal/decisions`, {
				method: 'POST',
				headers: { authorization: `Bearer ${await ownServiceToken(this.env)}`, 'content-type': 'application/x-ndjson' },
				body: lines.join('\n'),
				signal: controller.signal,
			});
			await answer.body?.cancel();
		} finally {
			clearTimeout(timer);
		}
		if (!answer.ok) {
			console.error(JSON.stringify({ message: 'ingestion refuses decisions', status: answer.status, batches: ids.length }));
			return false;
		}
		// Only now: what ingestion acknowledged is in the log.
		this.ctx.storage.sql.exec('DELETE FROM batch WHERE id <= ?', ids.at(-1));
		return true;
	}
}
