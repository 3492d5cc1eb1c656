import { type Behind, type Failing, failing, behind as told } from '#schemas/behind.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import type { ClientKeys } from '#schemas/release.ts';
import type { Connection } from './database/database.ts';
import { readRegions, readRegionVersions } from './database/regions.ts';
import { readCurrentRelease } from './database/releases.ts';
import type { Edge } from './edge.ts';
import { errorText, logLine } from './log-line.ts';
import type { Publishing } from './publishing.ts';

export interface Reconciler {
	/** What the last round left behind. */
	behind(): Behind[];
	/** When the whole edge was last found, or brought, in step with the database; milliseconds, wall clock; null: not yet since the start. */
	inStepAt(): number | null;
	/**
	 * Compares every shard and KV with the database and sends what is missing. Never throws for the edge's sake: what could not be reached is in the answer
	 * and in the next round.
	 */
	reconcileNow(): Promise<{ behind: number[]; kv: boolean }>;
	/** Rounds every limits.reconcile_ms. */
	start(): void;
	/** A round soon, since something was left behind. */
	soon(): void;
	/** No more rounds; resolves when the one under way has ended. */
	stop(): Promise<void>;
}

interface ReconcilerOptions {
	connection: Connection;
	edge: Edge;
	publishing: Publishing;
	clientKeys: () => ClientKeys;
	partitions: number;
	/** How soon `soon` is. */
	soonMs?: number;
}

export function createReconciler({ connection, edge, publishing, clientKeys, partitions, soonMs = 500 }: ReconcilerOptions): Reconciler {
	const shards = Array.from({ length: partitions }, (_, n) => n);
	/** What `catalogue/<n>` in KV was written from, and when (performance.now). */
	const written = new Map<number, { mark: string; at: number }>();
	let inStepAt: number | null = null;
	/** By what is behind: since when, and why by the last round. */
	let lacking = new Map<string, Failing>();
	let round: Promise<{ behind: number[]; kv: boolean }> | undefined;
	let timer: NodeJS.Timeout | undefined;
	let early: NodeJS.Timeout | undefined;
	let stopped = false;

	/** The entries of one shard that it lacks, in calls of a bounded size. */
	const sendEntries = async (shard: number, ids: readonly string[]): Promise<void> => {
		for (let at = 0; at < ids.length; at += limits.entries_push_max) {
			const entries = await readRegions(connection, ids.slice(at, at + limits.entries_push_max));
			await edge.pushEntries({ shard, entries });
		}
	};

	/** `catalogue/<n>`: what prices by tariff when a Shard does not answer. Without profiles, which that needs not. */
	const writeCatalogue = async (shard: number, versions: ReadonlyMap<string, number>): Promise<void> => {
		const mark = JSON.stringify([...versions].sort());
		const last = written.get(shard);
		if (last && (last.mark === mark || performance.now() - last.at < limits.catalogue_write_ms)) return;
		const entries = await readRegions(connection, [...versions.keys()]);
		await edge.putBody(`catalogue/${shard}`, JSON.stringify(entries.map((entry) => ({ ...entry, profile: null }))));
		written.set(shard, { mark, at: performance.now() });
	};

	/** One round: which shards are behind, and why. */
	const once = async (): Promise<{ behind: Map<number, string>; kv: boolean }> => {
		const failures: string[] = [];
		const behind = new Map<number, string>();
		let kv = true;
		const trying = async (what: string, work: () => Promise<unknown>): Promise<boolean> => {
			try {
				await work();
				return true;
			} catch (error) {
				failures.push(`${what}: ${errorText(error)}`);
				return false;
			}
		};

		const current = (await readCurrentRelease(connection))?.content.release;
		// KV before the Shards: a Shard may look there for a body.
		if (!(await trying('KV', () => publishing.ensureKv()))) kv = false;
		const states = await Promise.all(
			shards.map(async (shard) => {
				try {
					return await edge.shardState(shard);
				} catch (error) {
					behind.set(shard, 'does not answer');
					failures.push(`shard ${shard}: ${errorText(error)}`);
					return undefined;
				}
			}),
		);
		const answered = states.filter((state) => state !== undefined);

		if (current !== undefined) {
			for (const { shard, release } of answered) if (release !== null) await publishing.noteShard(shard, release);
			const keysVersion = clientKeys().version;
			const lagging = answered.filter(({ release, keys_version }) => (release ?? 0) < current || (keys_version ?? -1) < keysVersion).map(({ shard }) => shard);
			const pushed = await trying('release', async () => {
				for (const { shard, error } of (await publishing.push(lagging)).failed) {
					behind.set(shard, `does not take release ${current}`);
					failures.push(`shard ${shard}: ${error}`);
				}
			});
			if (!pushed) for (const shard of lagging) behind.set(shard, `does not take release ${current}`);
			const ahead = answered.filter(({ release }) => (release ?? 0) > current);
			if (ahead.length > 0) failures.push(`shards ${ahead.map(({ shard }) => shard)} have a later release than the database: publish again to bring them back`);
		}

		const byShard = new Map<number, Map<string, number>>(shards.map((shard) => [shard, new Map()]));
		for (const [id, version] of await readRegionVersions(connection)) byShard.get(partition(id, partitions))?.set(id, version);
		await Promise.all(
			answered.map(async ({ shard, entries }) => {
				const lacks = [...byShard.get(shard)!].filter(([id, version]) => (entries[id] ?? 0) < version).map(([id]) => id);
				if (!(await trying(`entries of shard ${shard}`, () => sendEntries(shard, lacks)))) behind.set(shard, `does not take ${lacks.length} entries`);
			}),
		);
		for (const shard of shards) {
			if (!kv) break;
			if (!(await trying(`catalogue of shard ${shard}`, () => writeCatalogue(shard, byShard.get(shard)!)))) kv = false;
		}
		if (failures.length > 0) logLine('warn', { what: 'The edge lacks something', failures: failures.slice(0, 20) });
		return { behind, kv };
	};

	/** What was behind before keeps its instant. */
	const note = (causes: ReadonlyMap<string, string>): void => {
		const now = Date.now();
		lacking = new Map([...causes].map(([what, cause]) => [what, failing(lacking.get(what), { cause, now })]));
		if (lacking.size === 0) inStepAt = now;
	};

	const noted = async (): Promise<{ behind: number[]; kv: boolean }> => {
		try {
			const { behind, kv } = await once();
			const causes = new Map([...behind].map(([shard, cause]) => [`shard ${shard}`, cause]));
			if (!kv) causes.set('KV', 'does not take what it lacks');
			note(causes);
			return { behind: [...behind.keys()].sort((a, b) => a - b), kv };
		} catch (error) {
			const before = [...lacking].map(([what, { cause }]) => [what, cause] as const);
			note(new Map([...before, ['reconciling', 'a round did not come to its end']]));
			throw error;
		}
	};

	const reconcileNow = (): Promise<{ behind: number[]; kv: boolean }> => {
		// A round that is under way may have looked already: wait for it, then look again.
		const mine = (round ?? Promise.resolve()).then(noted, noted);
		round = mine;
		return mine;
	};

	/** A round of our own: nobody waits for it, so a failure (the database) is logged here. */
	const background = async (): Promise<void> => {
		try {
			await reconcileNow();
		} catch (error) {
			logLine('error', { what: 'Reconciling failed', error: errorText(error) });
		}
	};

	return {
		behind: () => [...lacking].map(([what, failure]) => told(what, failure, Date.now())),
		inStepAt: () => inStepAt,
		reconcileNow,
		start() {
			timer ??= setInterval(() => void background(), limits.reconcile_ms).unref();
		},
		soon() {
			if (stopped || early) return;
			early = setTimeout(() => {
				early = undefined;
				void background();
			}, soonMs).unref();
		},
		async stop() {
			stopped = true;
			clearInterval(timer);
			clearTimeout(early);
			await round?.catch(() => undefined);
		},
	};
}
