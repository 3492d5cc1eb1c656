import { limits } from '#schemas/limits.ts';
import type { Catalogue } from '../catalogue.ts';
import type { Clock } from '../clock.ts';
import type { EventLog } from '../log/event-log.ts';
import { type FeatureCheckpoints, Fenced } from '../log/feature-checkpoints.ts';
import type { FrameClient } from './frame-client.ts';
import { openPartitionWorker, type PartitionWorker, type WorkerCounts } from './partition-worker.ts';

export interface FeatureWorker {
	readonly counts: WorkerCounts & { pushes: number; push_failures: number; checkpoint_failures: number };
	/** Least as_of of the partitions, milliseconds; what readiness and metrics show. */
	as_of(): number;
	/** Null while all is well, else what is wrong, for readiness. */
	trouble(): string | null;
	/** Goes on by itself until stopped: on the wall clock. */
	start(): void;
	/** One step on the city's clock: folds to the end of the log, pushes every partition whole and waits until every Shard has acknowledged. */
	step(): Promise<void>;
	/** Ends the loop and saves a last checkpoint. */
	stop(): Promise<void>;
}

/** A partition and when the edge was last told. */
interface Owned {
	partition: PartitionWorker;
	pushed_at: number;
	whole_at: number;
	whole_next: boolean;
	saved_at: number;
	pushing: Promise<void> | undefined;
}

const RETRY_MS = 200;
const STEP_DEADLINE_MS = 30_000;

/** Takes over every partition of the log and keeps the edge told. */
export async function openFeatureWorker(options: {
	log: EventLog;
	checkpoints: FeatureCheckpoints;
	catalogue: Catalogue;
	clock: Clock;
	edge: FrameClient;
	lateness_ms: number;
	push_interval_ms: number;
	onTrouble?: (text: string) => void;
}): Promise<FeatureWorker> {
	const { log, edge, push_interval_ms, onTrouble = () => undefined } = options;
	const counts = { folded: 0, duplicates: 0, late: 0, dead: 0, finals: 0, pushes: 0, push_failures: 0, checkpoint_failures: 0 };
	const owned: Owned[] = [];
	for (let number = 0; number < log.partitions; number++) {
		const partition = await openPartitionWorker(number, { ...options, counts });
		owned.push({ partition, pushed_at: 0, whole_at: 0, whole_next: true, saved_at: Date.now(), pushing: undefined });
	}
	let stopping = false;
	let running: Promise<void> | undefined;
	let wake: (() => void) | undefined;
	let trouble: string | null = null;
	const unsubscribe = log.onAppend(() => wake?.());

	async function send(owners: readonly Owned[], whole: boolean): Promise<boolean> {
		const sets = owners.map(({ partition, whole_next }) => partition.frames(whole || whole_next));
		const frames = sets.flat();
		if (frames.length === 0) return true;
		counts.pushes += frames.length;
		const answers = await edge.push(frames).catch((error) => {
			counts.push_failures += 1;
			trouble = `the edge does not take frames: ${error instanceof Error ? error.message : error}`;
			return undefined;
		});
		let told = answers !== undefined;
		for (const [index, owner] of owners.entries()) {
			const { partition } = owner;
			const own = sets[index] ?? [];
			// Answers come shard by shard, in the order of its frames.
			const mine = answers?.filter((answer) => answer.shard === partition.number);
			const again = await partition.pushed(own, mine);
			owner.whole_next = again || (owner.whole_next && mine === undefined);
			told &&= own.every((_, i) => mine?.[i]?.taken ?? false);
		}
		if (told) trouble = null;
		return told;
	}

	function pushDue(owner: Owned, now: number): void {
		if (owner.pushing) return; // a partition's frames go one after another
		const whole = owner.whole_next || now - owner.whole_at >= limits.confirm_ms;
		if (!(whole || owner.partition.dirty) || now - owner.pushed_at < push_interval_ms) return;
		owner.pushed_at = now;
		if (whole) owner.whole_at = now;
		owner.pushing = send([owner], whole)
			.then((told) => {
				if (!told) owner.pushed_at = Date.now() + RETRY_MS - push_interval_ms;
			})
			.catch((error) => onTrouble(`A push of partition ${owner.partition.number} failed: ${error instanceof Error ? error.message : error}`))
			.finally(() => {
				owner.pushing = undefined;
				wake?.();
			});
	}

	async function save(owner: Owned): Promise<void> {
		owner.saved_at = Date.now();
		try {
			await owner.partition.save();
		} catch (error) {
			if (error instanceof Fenced) throw error;
			// While the store is away the worker folds and pushes on, and saves later.
			counts.checkpoint_failures += 1;
			onTrouble(`A checkpoint of partition ${owner.partition.number} failed: ${error instanceof Error ? error.message : error}`);
		}
	}

	async function loop(): Promise<void> {
		while (!stopping) {
			let more = false;
			for (const owner of owned) {
				more = (await owner.partition.look()) || more;
				pushDue(owner, Date.now());
				if (Date.now() - owner.saved_at >= limits.checkpoint_ms) await save(owner);
				await new Promise((resolve) => setImmediate(resolve)); // requests of this process get their turn
			}
			if (more || stopping) continue;
			const now = Date.now();
			const due = owned.map((owner) =>
				owner.pushing
					? limits.confirm_ms
					: owner.partition.dirty || owner.whole_next
						? Math.max(1, owner.pushed_at + push_interval_ms - now)
						: Math.max(1, owner.whole_at + limits.confirm_ms - now),
			);
			await new Promise<void>((resolve) => {
				// A second at most, so that held events and finals come in time.
				const timer = setTimeout(resolve, Math.min(...due, 1000));
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
		as_of: () => Math.min(...owned.map(({ partition }) => partition.as_of)),
		trouble: () => trouble,
		start() {
			running ??= loop().catch((error) => {
				trouble = `the feature worker stopped: ${error instanceof Error ? error.message : error}`;
				onTrouble(trouble);
			});
		},
		async step() {
			const deadline = Date.now() + STEP_DEADLINE_MS;
			// Side by side, so that their finals share an append.
			await Promise.all(
				owned.map(async ({ partition }) => {
					while (await partition.look());
				}),
			);
			for (let told = await send(owned, true); !told; told = await send(owned, true)) {
				if (Date.now() > deadline) throw new Error(`Cannot finish a step: not every shard acknowledges (${trouble ?? 'a frame was refused'})`);
				await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
			}
			for (const owner of owned) if (Date.now() - owner.saved_at >= limits.checkpoint_ms) await save(owner);
		},
		async stop() {
			stopping = true;
			wake?.();
			await running;
			unsubscribe();
			await Promise.all(owned.map(({ pushing }) => pushing));
			for (const owner of owned) await save(owner);
		},
	};
}
