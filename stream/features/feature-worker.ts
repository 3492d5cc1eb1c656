import { UnavailableError } from '#control-plane/unavailable-error.ts';
import { type Behind, behind, type Failing, failing } from '#schemas/behind.ts';
import { type FeatureCheckpoints, Fenced } from '#schemas/feature-checkpoints.ts';
import type { Frame } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { eventTopics } from '#schemas/topic.ts';
import { type Catalogue, CatalogueUnavailable } from '../catalogue.ts';
import { causeOf } from '../cause-of.ts';
import type { Clock } from '../clock.ts';
import { type EventLog, LogUnavailable, type ReadLimits } from '../log/event-log.ts';
import { NotOwner } from '../log/member.ts';
import type { FrameClient } from './frame-client.ts';
import { CorruptRecord } from './inbox.ts';
import { openPartitionWorker, type PartitionWorker, type WorkerCounts } from './partition-worker.ts';

export interface FeatureWorker {
	readonly counts: WorkerCounts & { pushes: number; push_failures: number; checkpoint_failures: number };
	/** The partitions that it owns, ascending. */
	partitions(): number[];
	/** Least as_of of the partitions, milliseconds; what readiness and metrics show. */
	as_of(): number;
	/** The last minute whose finals every partition has made, milliseconds; 0 before any. */
	final_minute(): number;
	/** Null while all is well, else what is wrong, for people. */
	trouble(): string | null;
	/** The partitions that are not folded, told or saved, and those that stand more than limits.behind_ms before the clock. */
	behind(): Behind[];
	/** Goes on by itself until stopped: on the wall clock. */
	start(): void;
	/**
	 * One step on the city's clock: folds to the end of the log, pushes every partition whole and waits until every Shard has acknowledged.
	 * @throws when the log, the catalogue or a Shard is away for too long.
	 */
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
	/** Not looked at before this: what it needs was away. */
	look_at: number;
	pushing: Promise<void> | undefined;
	/** It is given up: somebody else owns it, or its place in the log is lost. Nothing of it is pushed or saved any more. */
	stopped: boolean;
	/** What is wrong with it, by what it was doing. */
	trouble: { fold?: Failing | undefined; push?: Failing | undefined; save?: Failing | undefined };
}

/** The group whose members share the partitions. */
const GROUP = 'features';

/** Folds the partitions that its group gives it, all of them while it is alone, and keeps the edge told. */
export async function openFeatureWorker(options: {
	log: EventLog;
	checkpoints: FeatureCheckpoints;
	catalogue: Catalogue;
	clock: Clock;
	edge: FrameClient;
	/** Gets the frames that Shards acknowledged, behind the push: returns at once and never throws. */
	mirror?: { put(frames: readonly Frame[]): void } | undefined;
	lateness_ms: number;
	push_interval_ms: number;
	read?: ReadLimits;
	onTrouble?: (text: string) => void;
}): Promise<FeatureWorker> {
	const { log, clock, edge, mirror, push_interval_ms, onTrouble = () => undefined } = options;
	const counts = { folded: 0, duplicates: 0, late: 0, dead: 0, finals: 0, pushes: 0, push_failures: 0, checkpoint_failures: 0 };
	const opened_at = Date.now();
	const member = await log.join(GROUP, eventTopics);
	const source = { ...log, read: member.read };
	let owned: Owned[] = [];
	/** Members came or went: what is owned may be other partitions by now. */
	let reassigned = false;
	/** Why some that are owned are not taken over yet. */
	let untaken: Failing | undefined;
	let stopping = false;
	let running: Promise<void> | undefined;
	/** Something happened since the loop last looked. */
	let news = false;
	let wake: (() => void) | undefined;
	const stir = (): void => {
		news = true;
		wake?.();
	};
	const unsubscribe = log.onAppend(stir);
	// Before the first look at what is owned: a change during it must not be missed.
	const forget = member.onChange(() => {
		reassigned = true;
		stir();
	});
	await own().catch((error) => {
		// What others have only just made, a leader that changes: the loop tries again.
		if (!(error instanceof LogUnavailable || error instanceof UnavailableError)) throw error;
		noteUntaken(error);
	});

	/**
	 * Takes over the partitions that are owned now and lets go of the others, whose next owner goes on from the last checkpoint; of what was pushed since, the
	 * Shards refuse what comes twice by its epoch. One that another owned meanwhile (this worker was frozen past its session) and that is ours again is taken over
	 * anew: the store is ahead of what is remembered here. One that cannot be taken over does not hold up the others.
	 * @throws the first failure, after all of them were tried.
	 */
	async function own(): Promise<void> {
		reassigned = false;
		const numbers = member.partitions();
		const ours = await Promise.all(owned.map(({ partition }) => numbers.includes(partition.number) && partition.owns()));
		const kept = owned.filter((_, index) => ours[index]);
		await Promise.all(owned.map((owner) => (kept.includes(owner) ? undefined : owner.pushing)));
		const missing = numbers.filter((number) => !kept.some(({ partition }) => partition.number === number));
		let failed: { error: unknown } | undefined;
		for (const number of missing) {
			try {
				const partition = await openPartitionWorker(number, { ...options, log: source, counts });
				const at = { pushed_at: 0, whole_at: 0, saved_at: Date.now(), look_at: 0 };
				kept.push({ partition, ...at, whole_next: true, pushing: undefined, stopped: false, trouble: {} });
			} catch (error) {
				failed ??= { error };
			}
		}
		owned = kept.sort((a, b) => a.partition.number - b.partition.number);
		if (failed) throw failed.error;
		untaken = undefined;
	}

	function noteUntaken(error: unknown): void {
		const text = `Not every partition can be taken over: ${causeOf(error)}`;
		if (text !== untaken?.cause) onTrouble(text); // said once, not at every retry
		untaken = failing(untaken, { cause: text, now: Date.now() });
		reassigned = true;
	}

	/** The same while it runs: what it needs may be away. */
	async function ownAgain(): Promise<void> {
		try {
			await own();
		} catch (error) {
			noteUntaken(error);
			await new Promise((resolve) => setTimeout(resolve, limits.fold_retry_ms));
		}
	}

	function note(owner: Owned, what: keyof Owned['trouble'], text: string | undefined): void {
		const before = owner.trouble[what];
		if (text !== undefined && before?.cause !== text) onTrouble(text); // said once, not at every retry
		owner.trouble[what] = text === undefined ? undefined : failing(before, { cause: text, now: Date.now() });
	}

	/** A partition that must not go on; the others do. */
	function giveUp(owner: Owned, error: unknown): void {
		owner.stopped = true;
		note(owner, 'fold', `The feature worker stopped partition ${owner.partition.number}: ${causeOf(error)}`);
	}

	/** Looks once. @throws what is not over by waiting. */
	async function look(owner: Owned): Promise<boolean> {
		try {
			const more = await owner.partition.look();
			note(owner, 'fold', undefined);
			return more;
		} catch (error) {
			if (error instanceof NotOwner) {
				reassigned = true;
				owner.look_at = Date.now() + limits.fold_retry_ms;
				return false;
			}
			if (!(error instanceof LogUnavailable || error instanceof CatalogueUnavailable || error instanceof CorruptRecord)) throw error;
			note(owner, 'fold', `Partition ${owner.partition.number} waits: ${causeOf(error)}`);
			owner.look_at = Date.now() + limits.fold_retry_ms;
			return false;
		}
	}

	/** Pushes what changed of these partitions, or all. True when every Shard has taken its frames. */
	async function send(owners: readonly Owned[], whole: boolean): Promise<boolean> {
		const sets = owners.map(({ partition, whole_next }) => partition.frames(whole || whole_next));
		const frames = sets.flat();
		counts.pushes += frames.length;
		let down: string | undefined;
		const answers = await edge.push(frames).catch((error) => {
			counts.push_failures += 1;
			down = causeOf(error);
			return undefined;
		});
		let told = true;
		for (const [index, owner] of owners.entries()) {
			const { partition } = owner;
			const own = sets[index] ?? [];
			const wasWhole = whole || owner.whole_next;
			// Answers come shard by shard, in the order of its frames.
			const mine = answers?.filter((answer) => answer.shard === partition.number);
			mirror?.put(own.filter((_, at) => mine?.[at]?.taken));
			const { taken, whole_wanted } = await partition.pushed(own, mine);
			owner.whole_next = whole_wanted || (wasWhole && !taken);
			const why = down ?? mine?.find(({ error }) => error !== undefined)?.error ?? 'it refused a frame';
			note(owner, 'push', taken ? undefined : `Shard ${partition.number} was not told: ${why}`);
			told &&= taken;
		}
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
				if (!told) owner.pushed_at = Date.now() + limits.fold_retry_ms - push_interval_ms;
			})
			.catch((error) => {
				// The store is away for raising the epoch: the next refusal asks again.
				if (error instanceof Fenced) giveUp(owner, error);
				else note(owner, 'push', `A push of partition ${owner.partition.number} failed: ${causeOf(error)}`);
				owner.pushed_at = Date.now() + limits.fold_retry_ms - push_interval_ms;
			})
			.finally(() => {
				owner.pushing = undefined;
				stir();
			});
	}

	/** @throws Fenced */
	async function save(owner: Owned): Promise<void> {
		owner.saved_at = Date.now();
		try {
			await owner.partition.save();
			note(owner, 'save', undefined);
		} catch (error) {
			if (error instanceof Fenced) throw error;
			// While the store is away the worker folds and pushes on, and saves later.
			counts.checkpoint_failures += 1;
			note(owner, 'save', `A checkpoint of partition ${owner.partition.number} failed: ${causeOf(error)}`);
		}
	}

	/** When this partition wants to be looked at again without news, milliseconds from `now` on. */
	function dueIn(owner: Owned, now: number): number {
		if (owner.stopped) return limits.fold_sleep_ms;
		const push = owner.partition.dirty || owner.whole_next ? owner.pushed_at + push_interval_ms : owner.whole_at + limits.confirm_ms;
		const held = owner.partition.held_until - clock.now() + 1; // shown once the clock is past it
		return Math.max(1, Math.min(limits.fold_sleep_ms, owner.pushing ? limits.fold_sleep_ms : push - now, owner.look_at > now ? owner.look_at - now : held));
	}

	async function loop(): Promise<void> {
		while (!stopping) {
			let more = false;
			news = false;
			if (reassigned) await ownAgain();
			for (const owner of owned) {
				if (owner.stopped) continue;
				try {
					if (Date.now() >= owner.look_at) more = (await look(owner)) || more;
					pushDue(owner, Date.now());
					if (Date.now() - owner.saved_at >= limits.checkpoint_ms) await save(owner);
				} catch (error) {
					giveUp(owner, error);
				}
				await new Promise((resolve) => setImmediate(resolve)); // requests of this process get their turn
			}
			if (more || news || stopping) continue;
			const now = Date.now();
			const due = Math.min(limits.fold_sleep_ms, ...owned.map((owner) => dueIn(owner, now)));
			await new Promise<void>((resolve) => {
				const timer = setTimeout(resolve, due);
				wake = () => {
					clearTimeout(timer);
					resolve();
				};
			});
			wake = undefined;
		}
	}

	const trouble = (): string | null =>
		untaken?.cause ?? owned.flatMap(({ trouble: { fold, push, save } }) => (fold ?? push ?? save)?.cause ?? []).at(0) ?? null;

	/** How a partition stands: its failures, or that it lags without one. */
	function partitionBehind({ partition, trouble: { fold, push, save } }: Owned): Behind[] {
		const what = `features of partition ${partition.number}`;
		const failures = [fold, push, save].filter((one) => one !== undefined).map((one) => behind(what, one, Date.now()));
		if (failures.length > 0 || clock.virtual || clock.now() - partition.as_of <= limits.behind_ms) return failures;
		return [behind(what, { since: Math.max(partition.as_of, opened_at), cause: 'the fold lags behind the clock' }, Date.now())];
	}

	return {
		counts,
		partitions: () => owned.map(({ partition }) => partition.number),
		as_of: () => (owned.length === 0 ? clock.now() : Math.min(...owned.map(({ partition }) => partition.as_of))),
		final_minute: () => (owned.length === 0 ? clock.now() : Math.min(...owned.map(({ partition }) => partition.final_minute))),
		trouble,
		behind: () => [...(untaken ? [behind('features of partitions to be taken over', untaken, Date.now())] : []), ...owned.flatMap(partitionBehind)],
		start() {
			running ??= loop();
		},
		async step() {
			const deadline = Date.now() + limits.fold_step_ms;
			if (reassigned) await own();
			// Side by side, so that their finals share an append.
			await Promise.all(
				owned.map(async ({ partition }) => {
					while (await partition.look());
				}),
			);
			for (let told = await send(owned, true); !told; told = await send(owned, true)) {
				if (Date.now() > deadline) throw new Error(`Cannot finish a step: not every shard acknowledges (${trouble() ?? 'a frame was refused'})`);
				await new Promise((resolve) => setTimeout(resolve, limits.fold_retry_ms));
			}
			for (const owner of owned) if (Date.now() - owner.saved_at >= limits.checkpoint_ms) await save(owner);
		},
		async stop() {
			stopping = true;
			wake?.();
			await running;
			unsubscribe();
			await Promise.all(owned.map(({ pushing }) => pushing));
			for (const owner of owned) if (!owner.stopped) await save(owner).catch((error) => giveUp(owner, error));
			// After the last save: whoever takes over goes on from there.
			forget();
			await member.leave();
		},
	};
}
