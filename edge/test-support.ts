// What the tests of both Workers need: tokens, signed releases, entries, frames. Their keys come with the bindings of infra/test/bindings.ts.
import { env } from 'cloudflare:workers';
import { CompactSign, importJWK, type JWK, type JWTPayload, SignJWT } from 'jose';
import { type FeatureName, type FeatureVector, featureNames } from '#schemas/feature.ts';
import type { Frame } from '#schemas/internal.ts';
import { partition } from '#schemas/partition.ts';
import type { Region } from '#schemas/region.ts';
import type { ClientKeys, Release, ReleasePointer } from '#schemas/release.ts';
import type { RuleSetDocumentInput } from '#schemas/rule-set.ts';

export type KeyName = 'issuer' | 'controlPlane' | 'stream' | 'edge';
const { TEST_KEYS, PARTITIONS } = env as unknown as { TEST_KEYS: string; PARTITIONS: string };
export const testKeys = JSON.parse(TEST_KEYS) as Record<KeyName, { public: JWK; private: JWK }>;
export const partitions = Number(PARTITIONS);

export interface TokenOptions {
	/** Undefined leaves one out. */
	claims?: { [Name in keyof JWTPayload]: JWTPayload[Name] | undefined };
	header?: { alg?: string; kid?: string };
	key?: KeyName;
	/** Seconds from now. */
	ttl?: number;
}

/** A token of the clients' issuer, good unless the options spoil it. */
export async function clientToken({ claims = {}, header = {}, key = 'issuer', ttl = 600 }: TokenOptions = {}): Promise<string> {
	const nowSeconds = Math.floor(Date.now() / 1000);
	const all = { iss: 'surgecast-local', aud: 'surgecast', sub: 'tester', role: 'client', iat: nowSeconds, exp: nowSeconds + ttl, ...claims };
	return new SignJWT(Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)))
		.setProtectedHeader({ alg: 'EdDSA', kid: 'test-issuer', ...header })
		.sign(await importJWK(testKeys[key].private, 'EdDSA'));
}

/** A token of role service, as the control plane makes one. */
export const serviceToken = (options: TokenOptions = {}): Promise<string> =>
	clientToken({
		key: 'controlPlane',
		...options,
		claims: { iss: 'surgecast-service', role: 'service', sub: 'control-plane', ...options.claims },
		header: { kid: 'control-plane', ...options.header },
	});

export async function sha256(text: string): Promise<string> {
	return Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))), (byte) => byte.toString(16).padStart(2, '0')).join(
		'',
	);
}

/** The worked example of the contract, without its adjustment. */
export function ruleSet(changes: Partial<RuleSetDocumentInput> = {}): RuleSetDocumentInput {
	return {
		name: 'city',
		currency: 'SGD',
		products: { standard_ride: { base_price: '12.00', minimum: '6.00' } },
		surge: {
			min_multiplier: 1,
			max_multiplier: 3,
			horizon_minutes: 15,
			demand_curve: [
				[0, 0],
				[0.5, 0],
				[1, 1],
			],
			supply_curve: [
				[0, 0.3],
				[0.5, 0],
				[1, -0.2],
			],
		},
		rounding: { step: '0.05', mode: 'up' },
		...changes,
	};
}

export const clientKeys = (version = 1): ClientKeys => ({
	version,
	issuer: 'surgecast-local',
	audience: 'surgecast',
	jwks: { keys: [testKeys.issuer.public as Record<string, unknown>] },
});

/** A signed release with the bodies of its rule sets by digest. `version` of each rule set is the release's number. */
export async function signedRelease(
	number: number,
	options: { ruleSets?: RuleSetDocumentInput[]; key?: KeyName; kid?: string; keys?: ClientKeys; models?: Release['models'] } = {},
): Promise<{ pointer: ReleasePointer; bodies: Record<string, string>; content: Release }> {
	const {
		ruleSets = [ruleSet()],
		key = 'controlPlane',
		kid = 'control-plane',
		keys = clientKeys(),
		models = { champion: null, canary: null, shadows: [] },
	} = options;
	const bodies: Record<string, string> = {};
	const references: Release['rule_sets'] = {};
	for (const document of ruleSets) {
		const body = JSON.stringify(document);
		const digest = await sha256(body);
		bodies[digest] = body;
		references[document.name] = { version: number, digest };
	}
	const content: Release = {
		release: number,
		rule_sets: references,
		models,
		experiments: [],
		created_at: '2026-01-11T10:00:00Z',
		created_by: 'tester',
	};
	const jws = await new CompactSign(new TextEncoder().encode(JSON.stringify(content)))
		.setProtectedHeader({ alg: 'EdDSA', kid })
		.sign(await importJWK(testKeys[key].private, 'EdDSA'));
	return { pointer: { jws, keys }, bodies, content };
}

export function entry(regionId: string, changes: Partial<Region> = {}): Region {
	return {
		region_id: regionId,
		name: regionId,
		time_zone: 'Asia/Singapore',
		rule_set: 'city',
		location_hint: null,
		neighbours: [],
		profile: null,
		minutes_per_booking: 20,
		holidays: null,
		frozen: false,
		version: 1,
		holiday_dates: [],
		...changes,
	};
}

/** A vector of a region where everything is as usual and no driver reports, and what is named. */
export function vector(named: Partial<Record<FeatureName, number | null>> = {}): FeatureVector {
	const calm: Partial<Record<FeatureName, number | null>> = {
		usual_15min: 10,
		usual_30min: 20,
		usual_60min: 40,
		recent_bookings: 20,
		recent_usual: 20,
		history_days: 28,
		available_drivers: null,
		driver_utilization: null,
	};
	const all = { ...calm, ...named };
	return featureNames.map((name) => (all[name] === undefined ? 0 : all[name]));
}

/** A frame of shard `shard`; regions by id, or with their own parts. */
export function frame(
	shard: number,
	pair: { epoch?: number; seq: number },
	changes: Partial<Omit<Frame, 'regions'>> & { regions?: (string | Partial<Frame['regions'][number]>)[] } = {},
): Frame {
	const { regions = [], ...rest } = changes;
	return {
		shard,
		epoch: pair.epoch ?? 1,
		seq: pair.seq,
		as_of: Date.now(),
		now: null,
		whole: false,
		...rest,
		regions: regions.map((one) => ({ region_id: 'x', values: vector(), busy_drivers: null, ...(typeof one === 'string' ? { region_id: one } : one) })),
	};
}

let named = 0;
/** An id that no other test uses: an isolate's memory outlives reset(). In the shard wanted, if one is. */
export function newRegion(shard?: number): string {
	for (;;) {
		const id = `r${++named}-${Math.random().toString(36).slice(2, 8)}`;
		if (shard === undefined || partition(id, partitions) === shard) return id;
	}
}
