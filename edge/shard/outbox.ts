import { DurableObject } from 'cloudflare:workers';
import { limits } from '#schemas/limits.ts';
import { boundedBody } from '../json-body.ts';
import type { ShardEnvironment } from './environment.ts';
import { ownServiceToken } from './own-service-token.ts';

/** What ingestion thought of a request: it has it, it may have it later, or it will never want it. */
type Verdict = { is: 'taken' } | { is: 'later' } | { is: 'refused'; status: number; reason: string };

/** Of the bound and of what was set aside a price isolate hears with every batch that it hands over: it has the metrics. */
export interface OutboxStanding {
	/** False: the storage is full, and the batch stays with whoever brought it. */
	taken: boolean;
	/** Of the object's storage, set-aside batches included. */
	bytes: number;
	/** Batches that ingestion refused for good since this Outbox was made. */
	refused: number;
}
export interface OutboxReport extends Omit<OutboxStanding, 'taken'> {
	/** Batches on their way. */
	waiting: number;
	/** Batches not taken in this life of the object, since the storage was full. */
	turned_away: number;
	/** The set-aside batches that are still here, newest first; their bodies are in table `refused`. */
	kept: { id: number; at: number; status: number; reason: string; chars: number }[];
}

/** Statuses that are about the moment or the caller, not about the body. */
const PASSING = new Set([401, 403, 408, 429]);

/**
 * `outbox/<0..7>`: batches of decisions on their way to the log, a row each. A batch is deleted when ingestion has answered 2xx, so it may arrive
 * twice, never not at all; the stores keep each decision once by its id. One that ingestion refuses for good is set aside, and the others go on.
 */
export class Outbox extends DurableObject<ShardEnvironment> {
	#alarmSet = false;
	#failures = 0;
	#turnedAway = 0;
	/** Batches that are joined in one request: halved when ingestion refuses them, until the bad one is alone; doubled when it takes them. */
	#joined: number = limits.outbox_send_batches_max;

	constructor(ctx: DurableObjectState, env: ShardEnvironment) {
		super(ctx, env);
		ctx.storage.sql.exec(
			`CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL) STRICT;
			 CREATE TABLE IF NOT EXISTS refused
				(id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, status INTEGER NOT NULL, reason TEXT NOT NULL, body TEXT NOT NULL) STRICT`,
		);
	}

	/** Keeps a batch (the JSON text of a DecisionBatch), if there is room. Durable when this returns, its alarm too: both are written in one turn. */
	async append(body: string): Promise<OutboxStanding> {
		const taken = this.ctx.storage.sql.databaseSize + body.length <= limits.outbox_bytes_max;
		if (taken) {
			this.ctx.storage.sql.exec('INSERT INTO batch (body) VALUES (?)', body);
			if (!this.#alarmSet) {
				this.#alarmSet = true;
				await this.ctx.storage.setAlarm(Date.now() + limits.outbox_alarm_ms);
			}
		} else this.#turnedAway += 1;
		return { taken, bytes: this.ctx.storage.sql.databaseSize, refused: this.#refused() };
	}

	async report(): Promise<OutboxReport> {
		const { sql } = this.ctx.storage;
		type Kept = OutboxReport['kept'][number];
		return {
			waiting: this.#waiting(),
			bytes: sql.databaseSize,
			turned_away: this.#turnedAway,
			refused: this.#refused(),
			kept: sql.exec<Kept>('SELECT id, at, status, reason, length(body) AS chars FROM refused ORDER BY id DESC').toArray(),
		};
	}

	#waiting(): number {
		return this.ctx.storage.sql.exec<{ n: number }>('SELECT count(*) AS n FROM batch').one().n;
	}

	/** The greatest id that AUTOINCREMENT gave: the oldest rows may be gone. */
	#refused(): number {
		return this.ctx.storage.sql.exec<{ n: number }>('SELECT coalesce(max(id), 0) AS n FROM refused').one().n;
	}

	/** Sends what waits, oldest first. Never throws: the runtime would give up after six failures. */
	override async alarm(): Promise<void> {
		this.#alarmSet = true;
		let moved = false;
		try {
			moved = await this.#send();
		} catch (error) {
			console.error(JSON.stringify({ message: 'outbox cannot send', error: error instanceof Error ? error.message : String(error) }));
		}
		this.#failures = moved ? 0 : this.#failures + 1;
		// Set before the count, so that an append during this handler finds no alarm and sets one.
		this.#alarmSet = false;
		if (this.#waiting() === 0) return;
		this.#alarmSet = true;
		const delay = moved ? limits.outbox_alarm_ms : Math.min(limits.outbox_retry_ms_max, limits.outbox_alarm_ms * 2 ** this.#failures);
		await this.ctx.storage.setAlarm(Date.now() + delay);
	}

	/** One request with as many batches as fit, a line each. Whether that brought anything forward. */
	async #send(): Promise<boolean> {
		const ids: number[] = [];
		const lines: string[] = [];
		let size = 0;
		for (const { id, body } of this.ctx.storage.sql.exec<{ id: number; body: string }>('SELECT id, body FROM batch ORDER BY id LIMIT ?', this.#joined)) {
			if (size > 0 && size + body.length > limits.outbox_send_bytes_max) break;
			size += body.length;
			ids.push(id);
			lines.push(body);
		}
		const [first] = ids;
		if (first === undefined) return true;
		const verdict = await this.#offer(lines.join('\n'));
		if (verdict.is === 'later') return false;
		if (verdict.is === 'taken') {
			// Only now: what ingestion acknowledged is in the log.
			this.ctx.storage.sql.exec('DELETE FROM batch WHERE id <= ?', ids.at(-1));
			this.#joined = Math.min(limits.outbox_send_batches_max, 2 * this.#joined);
		} else if (ids.length > 1) this.#joined = Math.ceil(ids.length / 2);
		else this.#setAside(first, verdict);
		return true;
	}

	/** Posts lines to ingestion. @throws when it does not answer. */
	async #offer(body: string): Promise<Verdict> {
		// Cleared below: a timer that is left (AbortSignal.timeout) would keep the object in memory for its whole time.
		const controller = new AbortController();
		const timer = setTimeout(() => controller.abort(), limits.outbox_send_ms);
		try {
			const answer = await fetch(`${this.env.INGEST_URL}/internal/decisions`, {
				method: 'POST',
				headers: { authorization: `Bearer ${await ownServiceToken(this.env)}`, 'content-type': 'application/x-ndjson' },
				body,
				signal: controller.signal,
			});
			const { ok, status } = answer;
			if (!ok && status >= 400 && status < 500 && !PASSING.has(status)) return { is: 'refused', status, reason: await wordsOf(answer) };
			await answer.body?.cancel();
			if (!ok) console.error(JSON.stringify({ message: 'ingestion does not take decisions', status }));
			return ok ? { is: 'taken' } : { is: 'later' };
		} finally {
			clearTimeout(timer);
		}
	}

	/** Keeps a batch that ingestion will never take for a human, out of the others' way. */
	#setAside(id: number, { status, reason }: { status: number; reason: string }): void {
		const { sql } = this.ctx.storage;
		this.ctx.storage.transactionSync(() => {
			sql.exec('INSERT INTO refused (at, status, reason, body) SELECT ?, ?, ?, body FROM batch WHERE id = ?', Date.now(), status, reason, id);
			sql.exec('DELETE FROM batch WHERE id = ?', id);
			sql.exec('DELETE FROM refused WHERE id NOT IN (SELECT id FROM refused ORDER BY id DESC LIMIT ?)', limits.outbox_refused_max);
		});
		console.error(JSON.stringify({ message: 'a batch of decisions is set aside: ingestion refuses it for good', status, reason, refused: this.#refused() }));
	}
}

/** What a problem document says, or the start of whatever else came. Never throws. */
async function wordsOf(answer: Response): Promise<string> {
	const bytes = await boundedBody(answer, limits.outbox_answer_bytes_max).catch(() => undefined);
	const text = new TextDecoder().decode(bytes);
	let said: string = text;
	try {
		const { detail, errors } = JSON.parse(text) as { detail?: unknown; errors?: { message?: unknown }[] };
		said = [detail, ...(errors ?? []).map(({ message }) => message)].filter((word) => typeof word === 'string').join(': ');
	} catch {
		// no problem document: as it is
	}
	return said.slice(0, limits.outbox_reason_chars_max);
}
