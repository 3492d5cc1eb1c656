import type { CompiledRuleSet } from '#models/pricing/compile-rule-set.ts';
import type { RefreshAnswer } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import { clientKeys, takeClientKeys } from './client-keys.ts';
import type { PriceEnvironment } from './environment.ts';
import { copyFromKv } from './kv-copy.ts';
import { count } from './metrics.ts';
import { patience } from './patience.ts';
import { digestsHeld, ruleSetByDigest, takeRuleSet } from './rule-sets.ts';

/** A region as this isolate knows it. */
export interface Copy {
	snapshot: Snapshot;
	ruleSet: CompiledRuleSet;
	/** Wall clock, when the Shard last said that this is current. */
	fetched_at: number;
	/** Wall clock, when a request last wanted it. */
	wanted_at: number;
}
/** `unknown`: the Shard has no such region. `absent`: nobody that answers knows. */
export type Found = Copy | 'unknown' | 'absent';

interface ShardCopies {
	regions: Map<string, Copy>;
	/** A lease in place of a shared promise: whoever asked may die, and awaiting another request's promise can hang for ever. 0: nobody asks. */
	refreshing_since: number;
	soft_ms: number;
	hard_ms: number;
	/** The city's clock under --replay. */
	now: number | null;
}

// Isolate memory, shared by every request: data only, never promises, streams or stubs.
const shards = new Map<number, ShardCopies>();
let release: number | null = null;

/** The release that this isolate knows of; null before the first answer of a Shard. */
export const releaseHeld = (): number | null => release;
export const copiesHeld = (): number => [...shards.values()].reduce((sum, { regions }) => sum + regions.size, 0);

function shardCopies(n: number): ShardCopies {
	let held = shards.get(n);
	if (!held) {
		held = { regions: new Map(), refreshing_since: 0, soft_ms: limits.soft_ms, hard_ms: limits.hard_ms, now: null };
		shards.set(n, held);
	}
	return held;
}

/** The deployment clock of a region: the city's as of the last push, or the wall clock. Milliseconds. */
export function deploymentNow(regionId: string, partitions: number): number {
	return shards.get(partition(regionId, partitions))?.now ?? Date.now();
}

/** Takes a snapshot unless it would be a step back: no isolate steps back to an older release or to older features. */
function takeSnapshot(held: ShardCopies, snapshot: Snapshot, at: number): void {
	const id = snapshot.region.region_id;
	const copy = held.regions.get(id);
	if (copy) {
		const older = snapshot.release < copy.snapshot.release || (snapshot.features?.version ?? 0) < (copy.snapshot.features?.version ?? 0);
		if (older) {
			count('surgecast_edge_older_snapshots_total');
			return;
		}
	}
	const ruleSet = ruleSetByDigest(snapshot.rule_set.digest);
	if (!ruleSet) return; // keeps the older snapshot until the body is there
	if (!copy && held.regions.size * shards.size >= limits.copies_max) held.regions.delete(held.regions.keys().next().value ?? '');
	held.regions.set(id, { snapshot, ruleSet, fetched_at: at, wanted_at: copy?.wanted_at ?? at });
}

/** Asks shard n for what changed in the regions that this isolate prices. Returns the regions that it does not have. */
async function refresh(env: PriceEnvironment, n: number, wanted: readonly string[]): Promise<string[]> {
	const held = shardCopies(n);
	const asked = Date.now();
	held.refreshing_since = asked;
	try {
		const regions = new Map<string, string | null>(wanted.map((id) => [id, null]));
		for (const [id, copy] of held.regions)
			if (asked - copy.wanted_at < limits.refresh_regions_ms || regions.has(id)) regions.set(id, copy.snapshot.snapshot_id);
		const text = await env.SHARD.getByName(`shard/${n}`).refresh({ regions: [...regions], bodies: digestsHeld(), keys: clientKeys()?.keys.version ?? null });
		const answer = JSON.parse(text) as RefreshAnswer; // of our own other script, built by RefreshAnswer's type
		if (answer.pointer_keys) takeClientKeys(answer.pointer_keys);
		for (const [digest, body] of Object.entries(answer.bodies)) takeRuleSet(digest, body);
		// Others ran while this waited: each takes only what is newer.
		if (answer.release !== null && answer.release >= (release ?? 0)) release = answer.release;
		held.soft_ms = answer.soft_ms * (0.8 + 0.4 * Math.random()); // so that isolates do not ask in step
		held.hard_ms = answer.hard_ms;
		if (answer.now !== null) held.now = Math.max(held.now ?? 0, answer.now);
		for (const snapshot of answer.snapshots) takeSnapshot(held, snapshot, asked);
		for (const id of regions.keys()) {
			const copy = held.regions.get(id);
			if (copy && copy.fetched_at < asked) copy.fetched_at = asked;
		}
		count('surgecast_edge_refreshes_total', 'outcome="answered"');
		return answer.unknown;
	} catch (error) {
		count('surgecast_edge_refreshes_total', 'outcome="failed"');
		throw error;
	} finally {
		if (held.refreshing_since === asked) held.refreshing_since = 0;
	}
}

/**
 * The regions as this isolate knows them. A copy younger than the soft limit is served as it is; an older one is refreshed behind the answer; past
 * the hard limit the Shard is asked first, 50 ms at most; without a copy it has 500 ms, then KV knows the tariff. Never throws because something
 * behind is down.
 */
export async function copies(regionIds: readonly string[], env: PriceEnvironment, ctx: ExecutionContext): Promise<Map<string, Found>> {
	const partitions = Number(env.PARTITIONS);
	const now = Date.now();
	const ask = new Map<number, { wanted: string[]; wait_ms: number }>();
	for (const id of regionIds) {
		const n = partition(id, partitions);
		const held = shardCopies(n);
		const copy = held.regions.get(id);
		if (copy) copy.wanted_at = now;
		const age = copy ? now - copy.fetched_at : Number.POSITIVE_INFINITY;
		if (copy && age < held.soft_ms) continue;
		const leased = now - held.refreshing_since < limits.refresh_lease_ms;
		const wait = !copy ? limits.first_wait_ms : age >= held.hard_ms ? limits.refresh_wait_ms : 0;
		if (wait === 0 && leased) continue; // somebody asks already, and this answer need not wait
		const entry = ask.get(n) ?? { wanted: [], wait_ms: 0 };
		entry.wanted.push(id);
		entry.wait_ms = Math.max(entry.wait_ms, wait);
		ask.set(n, entry);
	}
	const unknown = new Set<string>();
	const waits: Promise<unknown>[] = [];
	for (const [n, { wanted, wait_ms }] of ask) {
		const asking = refresh(env, n, wanted);
		ctx.waitUntil(asking.catch(() => undefined)); // counted in refresh(); the copy held serves on
		if (wait_ms > 0) {
			const note = patience(asking, wait_ms).then((missing = []) => {
				for (const id of missing) unknown.add(id);
			});
			waits.push(note);
		}
	}
	if (waits.length > 0) await Promise.all(waits);
	const found = new Map<string, Found>();
	for (const id of regionIds) {
		const copy = shards.get(partition(id, partitions))?.regions.get(id);
		found.set(id, copy ?? (unknown.has(id) ? 'unknown' : ((await copyFromKv(id, env)) ?? 'absent')));
	}
	return found;
}

/** Asks a Shard for what every isolate needs before it knows any region: the clients' keys and the release. */
export async function askForKeys(env: PriceEnvironment, ctx: ExecutionContext): Promise<void> {
	const asking = refresh(env, Math.floor(Math.random() * Number(env.PARTITIONS)), []);
	ctx.waitUntil(asking.catch(() => undefined));
	await patience(asking, limits.first_wait_ms);
}
