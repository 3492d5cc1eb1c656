import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import type { Region } from '#schemas/region.ts';
import type { Release, ReleasePointer } from '#schemas/release.ts';
import { takeClientKeys } from './client-keys.ts';
import type { Copy } from './copies.ts';
import type { PriceEnvironment } from './environment.ts';
import { patience } from './patience.ts';
import { ruleSetByDigest, takeRuleSet } from './rule-sets.ts';

/** The release pointer that KV has, its keys taken; undefined when KV does not answer or has none. */
export async function pointerFromKv(env: PriceEnvironment): Promise<ReleasePointer | undefined> {
	const pointer = await patience(env.RELEASES.get<ReleasePointer>('release', 'json'), limits.first_wait_ms);
	if (!pointer) return undefined;
	takeClientKeys(pointer.keys);
	return pointer;
}

/**
 * A region by what KV has, when its Shard does not answer: its rules and nothing else, so the tariff. Undefined when KV does not know it either:
 * only a Shard says that a region is unknown. Not kept: the next request asks the Shard again.
 */
export async function copyFromKv(regionId: string, env: PriceEnvironment): Promise<Copy | undefined> {
	const n = partition(regionId, Number(env.PARTITIONS));
	const [pointer, entries] = await Promise.all([pointerFromKv(env), patience(env.RELEASES.get<Region[]>(`catalogue/${n}`, 'json'), limits.first_wait_ms)]);
	const entry = entries?.find(({ region_id }) => region_id === regionId);
	if (!pointer || !entry) return undefined;
	const release = JSON.parse(new TextDecoder().decode(base64url(pointer.jws.split('.')[1] ?? ''))) as Release; // written by the control plane alone
	const reference = release.rule_sets[entry.rule_set];
	if (!reference) return undefined;
	if (!ruleSetByDigest(reference.digest)) {
		const body = await patience(env.RELEASES.get(`rule-set/${reference.digest}`), limits.first_wait_ms);
		if (body) takeRuleSet(reference.digest, body);
	}
	const ruleSet = ruleSetByDigest(reference.digest);
	if (!ruleSet) return undefined;
	const { region_id, name, time_zone, rule_set, location_hint, minutes_per_booking, frozen, version } = entry;
	const now = Date.now();
	return {
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
	};
}

function base64url(text: string): Uint8Array {
	return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}
