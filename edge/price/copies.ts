import type { CompiledRuleSet } from '#models/pricing/compile-rule-set.ts';
import type { RefreshAnswer, RefreshQuestion, ShardModels } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import { objectStub } from '../object-stub.ts';
import { patience } from '../patience.ts';
import { clientKeys, takeClientKeys } from './client-keys.ts';
import type { PriceEnvironment } from './environment.ts';
import { copiesFromKv } from './kv-copy.ts';
import { count } from './metrics.ts';
import { newerParts } from './newer-parts.ts';
import { digestsHeld, ruleSetByDigest, takeRuleSet } from './rule-sets.ts';

/** A region as this isolate knows it. */
export interface Copy {
	snapshot: Snapshot;
	ruleSet: CompiledRuleSet;
	/** Wall clock, when the Shard was asked that last said that this is current. */
	fetched_at: number;
	/** Wall clock, when a request last wanted it. */
	wanted_at: number;
}
/** `unknown`: the Shard has no such region. `absent`: nobody that answers knows. */
export type Found = Copy | 'unknown' | 'absent';

interface ShardCopies {
	/** The least recently confirmed first. */
	regions: Map<string, Copy>;
	/** A lease in place of a shared promise: whoever asked may die, and awaiting another request's promise can hang for ever. 0: nobody asks. */
	refreshing_since: number;
	failed_at: number;
	/** Wall clock, since when no question was answered; 0: the last one was. */
	silent_since: number;
	/** Questions are numbered, so that a request can tell an answer to a question that was asked after it came. */
	asked: number;
	answered: number;
	/** Regions that requests wait for: in the next question, whoever asks it. */
	waited_for: Set<string>;
	/** Regions that the Shard did not have, with the question's number: good for those who came before it, never kept for others. */
	unknown: Map<string, number>;
	soft_ms: number;
	hard_ms: number;
	/** The city's clock under --replay. */
	now: number | null;
	/** Of the last frame that the Shard took; null before any. */
	as_of: number | null;
	models: ShardModels | null;
}

// Isolate memory, shared by every request: data only, never promises, streams or stubs.
const shards = new Map<number, ShardCopies>();
let release: number | null = null;

/** The release that this isolate knows of; null before the first answer of a Shard. */
export const releaseHeld = (): number | null => release;
/** What the Shards that this isolate asks last said of themselves, by number; `silent_since` 0: they answer. */
export const shardsHeard = (): ReadonlyMap<number, Pick<ShardCopies, 'silent_since' | 'now' | 'as_of' | 'models'>> => shards;
export const copiesHeld = (): number => [...shards.values()].reduce((sum, { regions }) => sum + regions.size, 0);

function shardCopies(n: number): ShardCopies {
	let held = shards.get(n);
	if (!held) {
		held = {
			regions: new Map(),
			refreshing_since: 0,
			failed_at: 0,
			silent_since: 0,
			asked: 0,
			answered: 0,
			waited_for: new Set(),
			unknown: new Map(),
			soft_ms: limits.soft_ms,
			hard_ms: limits.hard_ms,
			now: null,
			as_of: null,
			models: null,
		};
		shards.set(n, held);
	}
	return held;
}

/** The deployment clock of a region: the city's as of the last push, or the wall clock. Milliseconds. */
export function deploymentNow(regionId: string, env: PriceEnvironment): number {
	return shards.get(partition(regionId, Number(env.PARTITIONS)))?.now ?? Date.now();
}

const mayAsk = (held: ShardCopies, now: number): boolean =>
	now - held.refreshing_since >= limits.refresh_lease_ms && now - held.failed_at >= limits.shard_failed_ms;

/**
 * The copy of a region that can be served without waiting, or undefined. Younger than the soft limit as it is; older ones are refreshed behind the
 * answer; past the hard limit there is none.
 */
export function copyAtHand(regionId: string, env: PriceEnvironment, ctx: ExecutionContext): Copy | undefined {
	const n = partition(regionId, Number(env.PARTITIONS));
	const held = shardCopies(n);
	const copy = held.regions.get(regionId);
	if (!copy) return undefined;
	const now = Date.now();
	copy.wanted_at = now;
	const age = now - copy.fetched_at;
	if (age >= held.hard_ms) return undefined;
	if (age >= held.soft_ms && mayAsk(held, now)) ctx.waitUntil(refresh(env, n));
	return copy;
}

/**
 * The regions as this isolate knows them: by copyAtHand; past the hard limit the Shard is asked first, 50 ms at most; without a copy it has 500 ms,
 * then KV knows the tariff. Never throws because something behind is down.
 */
export async function copies(regionIds: readonly string[], env: PriceEnvironment, ctx: ExecutionContext): Promise<Map<string, Found>> {
	const found = new Map<string, Found>();
	const missing = new Map<number, string[]>();
	for (const id of regionIds) {
		const copy = copyAtHand(id, env, ctx);
		if (copy) {
			found.set(id, copy);
			continue;
		}
		const n = partition(id, Number(env.PARTITIONS));
		const ids = missing.get(n);
		if (ids) ids.push(id);
		else missing.set(n, [id]);
	}
	await Promise.all(
		[...missing].map(async ([n, ids]) => {
			const { regions, unknown } = shardCopies(n);
			const cold = ids.some((id) => !regions.has(id));
			const since = await ask(n, { ids, wait_ms: cold ? limits.first_wait_ms : limits.refresh_wait_ms, env, ctx });
			const lost: string[] = [];
			for (const id of ids) {
				const copy = regions.get(id);
				if (copy) found.set(id, copy);
				else if ((unknown.get(id) ?? 0) > since) found.set(id, 'unknown');
				else lost.push(id);
			}
			if (lost.length === 0) return;
			const fromKv = await copiesFromKv(n, lost, env);
			for (const id of lost) found.set(id, fromKv.get(id) ?? 'absent');
		}),
	);
	return found;
}

/** Asks a Shard for what every isolate needs before it knows any region: the clients' keys and the release. */
export async function askForKeys(env: PriceEnvironment, ctx: ExecutionContext): Promise<void> {
	await ask(Math.floor(Math.random() * Number(env.PARTITIONS)), { ids: [], wait_ms: limits.first_wait_ms, env, ctx });
}

/** Asks every Shard that this isolate has to do with how it is: an isolate without requests knows old news only. */
export async function askAgain(env: PriceEnvironment, ctx: ExecutionContext): Promise<void> {
	await Promise.all([...shards.keys()].map((n) => ask(n, { ids: [], wait_ms: limits.refresh_wait_ms, env, ctx })));
}

/**
 * Returns when the Shard has answered a question asked after this call, when it is known to fail, or after `wait_ms`. One request of an isolate asks
 * for all; the others look at the shared data by timers of their own. Returns the number of the last question asked before.
 */
async function ask(n: number, options: { ids: readonly string[]; wait_ms: number; env: PriceEnvironment; ctx: ExecutionContext }): Promise<number> {
	const { ids, wait_ms, env, ctx } = options;
	const held = shardCopies(n);
	const since = held.asked;
	for (const id of ids) if (held.waited_for.size < limits.question_regions_max) held.waited_for.add(id);
	const deadline = Date.now() + wait_ms;
	for (let now = Date.now(); held.answered <= since && now < deadline && now - held.failed_at >= limits.shard_failed_ms; now = Date.now()) {
		if (mayAsk(held, now)) {
			const asking = refresh(env, n);
			ctx.waitUntil(asking);
			await patience(asking, deadline - now);
			break; // answered, failed, or waited long enough
		} else {
			await new Promise((resolve) => setTimeout(resolve, Math.min(limits.refresh_poll_ms, deadline - now)));
			// An answer under way when this request came may be young enough.
			if (ids.length > 0 && ids.every((id) => isYoung(held, id))) break;
		}
	}
	return since;
}

function isYoung(held: ShardCopies, id: string): boolean {
	const copy = held.regions.get(id);
	return copy !== undefined && Date.now() - copy.fetched_at < held.hard_ms;
}

/** Asks shard n for what changed in the regions that this isolate prices. Never throws: a failure is counted, and the copies held serve on. */
async function refresh(env: PriceEnvironment, n: number): Promise<void> {
	const held = shardCopies(n);
	const asked_at = Date.now();
	const number = ++held.asked;
	held.refreshing_since = asked_at;
	const waitedFor = held.waited_for;
	held.waited_for = new Set();
	const regions: RefreshQuestion['regions'] = [...waitedFor].map((id) => [id, held.regions.get(id)?.snapshot.snapshot_id ?? null]);
	for (const [id, copy] of held.regions) {
		if (regions.length >= limits.question_regions_max) break;
		if (asked_at - copy.wanted_at < limits.refresh_regions_ms && !waitedFor.has(id)) regions.push([id, copy.snapshot.snapshot_id]);
	}
	const question: RefreshQuestion = { regions, bodies: digestsHeld(), keys: clientKeys()?.keys.version ?? null };
	// A stub is broken after a throw. The question changes nothing, so it can be asked again.
	const once = () => objectStub(env.SHARD, `shard/${n}`, env).refresh(question);
	try {
		const answer = JSON.parse(await once().catch(once)) as RefreshAnswer; // of our own other script, built by RefreshAnswer's type
		take(held, answer, { asked_at, regions, copies_max: limits.copies_max / Number(env.PARTITIONS) });
		if (held.unknown.size > limits.question_regions_max) held.unknown.clear();
		for (const id of answer.unknown) held.unknown.set(id, number);
		held.answered = Math.max(held.answered, number);
		held.silent_since = 0;
		count('surgecast_edge_refreshes_total', 'answered');
	} catch (error) {
		held.failed_at = Date.now();
		held.silent_since ||= asked_at;
		count('surgecast_edge_refreshes_total', 'failed');
		console.warn(JSON.stringify({ message: 'a Shard does not answer', shard: n, error: error instanceof Error ? error.message : String(error) }));
	} finally {
		if (held.refreshing_since === asked_at) held.refreshing_since = 0;
	}
}

/** Takes an answer. Others ran while it was under way: of everything only what is newer is taken. */
function take(held: ShardCopies, answer: RefreshAnswer, of: { asked_at: number; regions: RefreshQuestion['regions']; copies_max: number }): void {
	if (answer.pointer_keys) takeClientKeys(answer.pointer_keys);
	for (const [digest, body] of Object.entries(answer.bodies)) takeRuleSet(digest, body);
	if (answer.release !== null && answer.release >= (release ?? 0)) release = answer.release;
	held.soft_ms = answer.soft_ms * (1 + limits.soft_jitter_share * (2 * Math.random() - 1));
	held.hard_ms = answer.hard_ms;
	held.models = answer.models;
	held.as_of = answer.as_of;
	if (answer.now !== null) held.now = Math.max(held.now ?? 0, answer.now);
	for (const snapshot of answer.snapshots) takeSnapshot(held, snapshot, of);
	for (const [id] of of.regions) {
		const copy = held.regions.get(id);
		if (!copy) continue;
		copy.fetched_at = Math.max(copy.fetched_at, of.asked_at);
		held.regions.delete(id); // to the end: the least recently confirmed stay first
		held.regions.set(id, copy);
	}
}

function takeSnapshot(held: ShardCopies, given: Snapshot, of: { asked_at: number; copies_max: number }): void {
	const id = given.region.region_id;
	const copy = held.regions.get(id);
	const snapshot = copy ? newerParts(copy.snapshot, given) : given;
	if (snapshot !== given) count('surgecast_edge_older_snapshots_total');
	const ruleSet = ruleSetByDigest(snapshot.rule_set.digest);
	if (!ruleSet) return; // keeps the older snapshot until the body is there
	if (!copy && held.regions.size >= of.copies_max) held.regions.delete(held.regions.keys().next().value ?? '');
	// A new object: a batch that is being priced keeps the one that it found.
	held.regions.set(id, { fetched_at: of.asked_at, wanted_at: of.asked_at, ...copy, snapshot, ruleSet });
}
