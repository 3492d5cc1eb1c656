import { limits } from '#schemas/limits.ts';
import { parse } from '#schemas/parse.ts';
import type { Region } from '#schemas/region.ts';
import { type Release, releasePointer } from '#schemas/release.ts';
import { openRelease } from '../open-release.ts';
import { patience } from '../patience.ts';
import { sha256 } from '../sha256.ts';
import { takeClientKeys } from './client-keys.ts';
import type { Copy } from './copies.ts';
import type { PriceEnvironment } from './environment.ts';
import { count } from './metrics.ts';
import { ruleSetByDigest, takeRuleSet } from './rule-sets.ts';

/** What KV gave, kept when it gives nothing any more. */
interface Kept<T> {
	value: T | undefined;
	/** Wall clock, until when KV is not asked again. */
	until: number;
}
let pointer: Kept<Release> = { value: undefined, until: 0 };
/** The last pointer that was judged: a signature is checked once. */
let judged = '';
const catalogues = new Map<number, Kept<Map<string, Region>>>();

/** The next state after a reading: a failed one leaves what was there, and is repeated soon. */
const after = <T>({ value }: Kept<T>, read: T | undefined): Kept<T> =>
	read === undefined ? { value, until: Date.now() + limits.kv_failed_ms } : { value: read, until: Date.now() + limits.kv_kept_ms };

/**
 * The release that KV has, or had when it last answered, the clients' keys beside it taken; undefined when it never gave one that the control plane
 * signed.
 */
export async function pointerFromKv(env: PriceEnvironment): Promise<Release | undefined> {
	if (Date.now() < pointer.until) return pointer.value;
	const text = await patience(env.RELEASES.get('release'), limits.first_wait_ms);
	const read = text && text !== judged ? await opened(text, env) : text ? pointer.value : undefined;
	if (text) judged = text;
	const isOlder = read && pointer.value && read.release < pointer.value.release; // replayed, or KV's own delay
	pointer = after(pointer, isOlder ? pointer.value : read);
	return pointer.value;
}

/** The release of a pointer as it lies in KV; undefined, counted and logged, when it is not the control plane's. */
async function opened(text: string, env: PriceEnvironment): Promise<Release | undefined> {
	try {
		const parsed = parse(releasePointer, JSON.parse(text));
		if (!parsed.ok) throw new Error(`Cannot take the release of KV: ${parsed.errors[0]?.path} ${parsed.errors[0]?.message}`);
		const release = await openRelease(parsed.value.jws, env);
		takeClientKeys(parsed.value.keys);
		return release;
	} catch (error) {
		count('surgecast_edge_kv_releases_refused_total');
		console.error(JSON.stringify({ message: 'the release in KV is refused', error: error instanceof Error ? error.message : String(error) }));
		return undefined;
	}
}

async function catalogueFromKv(n: number, env: PriceEnvironment): Promise<Map<string, Region> | undefined> {
	const kept = catalogues.get(n) ?? { value: undefined, until: 0 };
	if (Date.now() < kept.until) return kept.value;
	const reading = async () => {
		const entries = await env.RELEASES.get<Region[]>(`catalogue/${n}`, 'json');
		return entries ? new Map(entries.map((entry) => [entry.region_id, entry])) : undefined;
	};
	const next = after(kept, await patience(reading(), limits.first_wait_ms));
	catalogues.set(n, next);
	return next.value;
}

/**
 * Regions of shard n by what KV has, when the Shard does not answer: their rules and nothing else, so the tariff. Those that KV does not know either are
 * left out: only a Shard says that a region is unknown. Never among the isolate's copies: the next request asks the Shard again.
 */
export async function copiesFromKv(n: number, regionIds: readonly string[], env: PriceEnvironment): Promise<Map<string, Copy>> {
	const copies = new Map<string, Copy>();
	const [release, entries] = await Promise.all([pointerFromKv(env), catalogueFromKv(n, env)]);
	if (!release || !entries) return copies;
	const now = Date.now();
	await Promise.all(
		regionIds.map(async (id) => {
			const entry = entries.get(id);
			const reference = entry && release.rule_sets[entry.rule_set];
			if (!entry || !reference) return;
			if (!ruleSetByDigest(reference.digest)) {
				const body = await patience(env.RELEASES.get(`rule-set/${reference.digest}`), limits.first_wait_ms);
				if (body && (await sha256(body)) === reference.digest) takeRuleSet(reference.digest, body);
			}
			const ruleSet = ruleSetByDigest(reference.digest);
			if (!ruleSet) return;
			const { region_id, name, time_zone, rule_set, location_hint, minutes_per_booking, frozen, version } = entry;
			copies.set(id, {
				snapshot: {
					snapshot_id: `kv-${release.release}-${region_id}-${version}`,
					region: { region_id, name, time_zone, rule_set, location_hint, minutes_per_booking, frozen, version },
					release: release.release,
					rule_set: reference,
					features: null,
					forecasts: null,
					usual: null,
				},
				ruleSet,
				fetched_at: now,
				wanted_at: now,
			});
		}),
	);
	return copies;
}
