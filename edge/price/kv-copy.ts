import { limits } from '#schemas/limits.ts';
import type { Region } from '#schemas/region.ts';
import type { Release, ReleasePointer } from '#schemas/release.ts';
import { patience } from '../patience.ts';
import { takeClientKeys } from './client-keys.ts';
import type { Copy } from './copies.ts';
import type { PriceEnvironment } from './environment.ts';
import { ruleSetByDigest, takeRuleSet } from './rule-sets.ts';

/** What was read is used so long: KV itself shows changes after a minute, and a catalogue is large to parse. */
const KEPT_MS = limits.catalogue_write_ms;
/** What could not be read is not asked for again so soon. */
const FAILED_MS = 1000;

interface Read<T> {
	at: number;
	value: T | undefined;
}
let pointer: Read<Release> = { at: 0, value: undefined };
const catalogues = new Map<number, Read<Map<string, Region>>>();

const isFresh = ({ at, value }: Read<unknown>): boolean => Date.now() - at < (value === undefined ? FAILED_MS : KEPT_MS);

/** The release that KV has, the clients' keys beside it taken; undefined when KV does not answer or has none. */
export async function pointerFromKv(env: PriceEnvironment): Promise<Release | undefined> {
	if (isFresh(pointer)) return pointer.value;
	const read = await patience(env.RELEASES.get<ReleasePointer>('release', 'json'), limits.first_wait_ms);
	if (read) takeClientKeys(read.keys);
	pointer = { at: Date.now(), value: read ? (JSON.parse(new TextDecoder().decode(base64url(read.jws.split('.')[1] ?? ''))) as Release) : undefined }; // written by the control plane alone
	return pointer.value;
}

async function catalogueFromKv(n: number, env: PriceEnvironment): Promise<Map<string, Region> | undefined> {
	const kept = catalogues.get(n);
	if (kept && isFresh(kept)) return kept.value;
	const entries = await patience(env.RELEASES.get<Region[]>(`catalogue/${n}`, 'json'), limits.first_wait_ms);
	const value = entries ? new Map(entries.map((entry) => [entry.region_id, entry])) : undefined;
	catalogues.set(n, { at: Date.now(), value });
	return value;
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
				if (body) takeRuleSet(reference.digest, body);
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

function base64url(text: string): Uint8Array {
	return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}
