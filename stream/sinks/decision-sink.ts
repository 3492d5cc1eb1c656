import { type Behind, behind, type Failing, failing } from '#schemas/behind.ts';
import type { DecisionBatch } from '#schemas/decision.ts';
import { limits } from '#schemas/limits.ts';
import { decode, Undecodable } from '../avro/codec.ts';
import { causeOf } from '../cause-of.ts';
import type { EventLog } from '../log/event-log.ts';
import { NotOwner } from '../log/member.ts';
import { IsolateGaps } from './isolate-gaps.ts';

const GROUP = 'decisions-to-postgres';
const READ = { records_max: limits.sink_read_records_max, bytes_max: limits.sink_read_bytes_max };

export interface DecisionSink {
	/** `gaps`: sequence numbers of isolates that never came. */
	readonly counts: { stored: number; failures: number; gaps: number; unreadable: number };
	/** Null while all is well, else why decisions wait. */
	trouble(): string | null;
	behind(): Behind[];
	start(): void;
	/** Resolves when everything that is in the log now is stored, or after `wait_ms`: the rest waits in the log. */
	drain(wait_ms: number): Promise<void>;
	stop(): Promise<void>;
}

/**
 * Topic pricing-decisions into the store. Order of effects: store, then move the position; so a decision may come twice and is stored once by its
 * id. A record that cannot be read is named and skipped; while the store is away everything waits in the log.
 */
export async function openDecisionSink(options: {
	log: EventLog;
	store: (batch: DecisionBatch) => Promise<unknown>;
	onTrouble?: (text: string) => void;
	retry_ms?: number;
}): Promise<DecisionSink> {
	const { log, store, onTrouble = () => undefined, retry_ms = limits.sink_retry_ms } = options;
	const member = await log.join(GROUP, ['pricing-decisions']);
	/** Where the group stands in what is owned, once asked. */
	const positions = new Map<number, number>();
	const forget = member.onChange(() => positions.clear());
	const gaps = new IsolateGaps();
	const counts = {
		stored: 0,
		failures: 0,
		unreadable: 0,
		get gaps() {
			return gaps.count;
		},
	};
	let stopping = false;
	let running: Promise<void> | undefined;
	let news = false;
	let wake: (() => void) | undefined;
	let trouble: Failing | undefined;
	const unsubscribe = log.onAppend(() => {
		news = true;
		wake?.();
	});

	async function positionOf(partition: number): Promise<number> {
		const position = positions.get(partition) ?? (await member.position('pricing-decisions', partition));
		positions.set(partition, position);
		return position;
	}

	/** True when something was read. */
	async function move(partition: number): Promise<boolean> {
		const offset = await positionOf(partition);
		const records = await member.read('pricing-decisions', partition, { ...READ, offset });
		if (records.length === 0) return false;
		const batch: DecisionBatch = { decisions: [], snapshots: [] };
		const unreadable: string[] = [];
		for (const { value, corrupt, offset: at } of records) {
			try {
				if (corrupt) throw new Undecodable('the stored bytes fail their checksum');
				const decoded = decode(value);
				if (decoded.kind === 'decision') batch.decisions.push(decoded.record);
				else if (decoded.kind === 'snapshot') batch.snapshots.push(decoded.snapshot);
				else throw new Undecodable(`a ${decoded.kind} does not belong here`);
			} catch (error) {
				if (!(error instanceof Undecodable)) throw error;
				unreadable.push(`Record pricing-decisions/${partition}/${at} is skipped: ${error.message}`);
			}
		}
		if (batch.decisions.length + batch.snapshots.length > 0) await store(batch);
		await member.commit('pricing-decisions', partition, offset + records.length);
		positions.set(partition, offset + records.length);
		counts.stored += batch.decisions.length;
		counts.unreadable += unreadable.length;
		for (const text of unreadable) onTrouble(text);
		for (const { isolate, sequence } of batch.decisions) gaps.see(isolate, sequence);
		return true;
	}

	/** @param withNews whether an append ends it. */
	async function sleep(withNews: boolean): Promise<void> {
		if (stopping || (withNews && news)) return;
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, retry_ms);
			wake = () => {
				if (!(withNews || stopping)) return;
				clearTimeout(timer);
				resolve();
			};
		});
		wake = undefined;
	}

	async function loop(): Promise<void> {
		while (!stopping) {
			let moved = false;
			news = false;
			try {
				for (const partition of member.partitions()) if (!stopping) moved = (await move(partition)) || moved;
				trouble = undefined;
			} catch (error) {
				if (error instanceof NotOwner) continue;
				counts.failures += 1;
				const text = `Decisions wait in the log: ${causeOf(error)}`;
				if (text !== trouble?.cause) onTrouble(text); // said once, not at every retry
				trouble = failing(trouble, { cause: text, now: Date.now() });
				await sleep(false);
				continue;
			}
			if (!moved) await sleep(true);
		}
	}

	return {
		counts,
		trouble: () => trouble?.cause ?? null,
		behind: () => (trouble ? [behind('the store of decisions', trouble, Date.now())] : []),
		start() {
			running ??= loop();
		},
		async drain(wait_ms) {
			const deadline = Date.now() + wait_ms;
			for (const partition of member.partitions()) {
				const end = await log.end('pricing-decisions', partition);
				while ((await positionOf(partition)) < end && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
			}
		},
		async stop() {
			stopping = true;
			wake?.();
			await running;
			unsubscribe();
			forget();
			await member.leave();
		},
	};
}
