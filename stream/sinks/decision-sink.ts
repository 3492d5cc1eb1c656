import type { DecisionBatch } from '#schemas/decision.ts';
import { decode, Undecodable } from '../avro/codec.ts';
import type { EventLog } from '../log/event-log.ts';

const GROUP = 'decisions-to-postgres';
const READ = { records_max: 1000, bytes_max: 8 * 1024 * 1024 };
const RETRY_MS = 1000;
const GATHER_MS = 200;

export interface DecisionSink {
	readonly counts: { stored: number; failures: number; gaps: number };
	/** Null while all is well, else why decisions wait. */
	trouble(): string | null;
	start(): void;
	/** Resolves when everything that is in the log now is stored. */
	drain(): Promise<void>;
	stop(): Promise<void>;
}

/**
 * Topic pricing-decisions into the store. The position moves after the store has them, so a decision may come twice and is stored once by its id.
 * Gaps in an isolate's sequence numbers are counted: they are decisions that never reached an Outbox (or come later, from another one).
 */
export function openDecisionSink(options: {
	log: EventLog;
	store: (batch: DecisionBatch) => Promise<unknown>;
	onTrouble?: (text: string) => void;
}): DecisionSink {
	const { log, store, onTrouble = () => undefined } = options;
	const counts = { stored: 0, failures: 0, gaps: 0 };
	/** By isolate: the greatest sequence number seen and how many were seen. */
	const seen = new Map<string, { greatest: number; count: number }>();
	let stopping = false;
	let running: Promise<void> | undefined;
	let wake: (() => void) | undefined;
	let trouble: string | null = null;
	const unsubscribe = log.onAppend(() => wake?.());

	function account(isolate: string, sequence: number): void {
		const known = seen.get(isolate) ?? { greatest: sequence - 1, count: sequence - 1 };
		known.greatest = Math.max(known.greatest, sequence);
		known.count += 1;
		seen.set(isolate, known);
		if (seen.size > 1000) seen.delete(seen.keys().next().value ?? '');
		counts.gaps = [...seen.values()].reduce((sum, one) => sum + Math.max(0, one.greatest - one.count), 0);
	}

	/** True when something was read. */
	async function move(partition: number): Promise<boolean> {
		const offset = await log.position(GROUP, 'pricing-decisions', partition);
		if (offset === (await log.end('pricing-decisions', partition))) return false;
		const records = await log.read('pricing-decisions', partition, { ...READ, offset });
		const batch: DecisionBatch = { decisions: [], snapshots: [] };
		for (const { value, corrupt, offset: at } of records) {
			try {
				if (corrupt) throw new Undecodable('the stored bytes fail their checksum');
				const decoded = decode(value);
				if (decoded.kind === 'decision') batch.decisions.push(decoded.record);
				else if (decoded.kind === 'snapshot') batch.snapshots.push(decoded.snapshot);
			} catch (error) {
				if (!(error instanceof Undecodable)) throw error;
				onTrouble(`Record pricing-decisions/${partition}/${at} cannot be read: ${error.message}`);
			}
		}
		await store(batch);
		await log.commit(GROUP, 'pricing-decisions', partition, offset + records.length);
		counts.stored += batch.decisions.length;
		for (const { isolate, sequence } of batch.decisions) account(isolate, sequence);
		return true;
	}

	async function loop(): Promise<void> {
		while (!stopping) {
			let moved = false;
			try {
				for (let partition = 0; partition < log.partitions; partition++) moved = (await move(partition)) || moved;
				trouble = null;
			} catch (error) {
				counts.failures += 1;
				trouble = `decisions wait in the log: ${error instanceof Error ? error.message : error}`;
				onTrouble(trouble);
				await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
				continue;
			}
			if (stopping) continue;
			if (moved) {
				// Decisions come one after another; a transaction for each would cost more than they do.
				await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
				continue;
			}
			await new Promise<void>((resolve) => {
				const timer = setTimeout(resolve, RETRY_MS);
				wake = () => {
					clearTimeout(timer);
					resolve();
				};
			});
			wake = undefined;
		}
	}

	return {
		counts,
		trouble: () => trouble,
		start() {
			running ??= loop();
		},
		async drain() {
			for (let partition = 0; partition < log.partitions; partition++) {
				const end = await log.end('pricing-decisions', partition);
				while ((await log.position(GROUP, 'pricing-decisions', partition)) < end) {
					if (running) await new Promise((resolve) => setTimeout(resolve, 20));
					else await move(partition);
				}
			}
		},
		async stop() {
			stopping = true;
			wake?.();
			await running;
			unsubscribe();
		},
	};
}
