// For tests: the edge in memory, as strict about versions and signatures as a Shard.
import { compactVerify, createLocalJWKSet, type JSONWebKeySet } from 'jose';
import { entriesRequest, type RegionFeatures, releasesRequest, type TryModelAnswer } from '#schemas/internal.ts';
import { partition } from '#schemas/partition.ts';
import type { Region } from '#schemas/region.ts';
import { type Release, type ReleasePointer, release as releaseSchema } from '#schemas/release.ts';
import type { Edge } from './edge.ts';
import { UnavailableError } from './unavailable-error.ts';

export interface FakeShard {
	release: Release | null;
	pointer: ReleasePointer | null;
	entries: Map<string, Region>;
	features: Map<string, Pick<RegionFeatures, 'version' | 'as_of' | 'values'>>;
	/** Does not answer. */
	down: boolean;
}

export interface FakeEdge extends Edge {
	shards: FakeShard[];
	kv: Map<string, string>;
	/** What was called, in order: `pushRelease`, `putBody release`, ... */
	calls: string[];
	/** Nothing answers. */
	down: boolean;
	/** KV does not answer. */
	kvDown: boolean;
	/** What a model's run gives; by default every output is 1. */
	tried: (rows: readonly (readonly number[])[]) => TryModelAnswer;
}

/** @param options.serviceJwks the public keys that a release's signature is checked with. */
export function createFakeEdge({ partitions, serviceJwks }: { partitions: number; serviceJwks: JSONWebKeySet }): FakeEdge {
	const keys = createLocalJWKSet(serviceJwks);
	const shards = Array.from({ length: partitions }, (): FakeShard => ({ release: null, pointer: null, entries: new Map(), features: new Map(), down: false }));
	const kv = new Map<string, string>();
	const calls: string[] = [];
	const noAnswer = () => new UnavailableError('The edge does not answer.');
	const reach = (n?: number): FakeShard | undefined => {
		if (edge.down || (n !== undefined && shards[n]?.down)) throw noAnswer();
		return n === undefined ? undefined : shards[n];
	};
	const edge: FakeEdge = {
		shards,
		kv,
		calls,
		down: false,
		kvDown: false,
		tried: (rows) => {
			const ones = rows.map(() => 1);
			return { outputs: Object.fromEntries(['expected_15min', 'expected_30min', 'expected_60min'].map((name) => [name, { batch: ones, single: ones }])) };
		},
		async pushRelease(request) {
			calls.push('pushRelease');
			reach();
			const { pointer, bodies, shards: named } = releasesRequest.parse(JSON.parse(JSON.stringify(request)));
			const { payload, protectedHeader } = await compactVerify(pointer.jws, keys, { algorithms: ['EdDSA'] });
			if (protectedHeader.kid !== 'control-plane') throw new Error(`signed by ${protectedHeader.kid}`);
			const content = releaseSchema.parse(JSON.parse(new TextDecoder().decode(payload)));
			const answer: Awaited<ReturnType<Edge['pushRelease']>> = { acknowledged: [], failed: [] };
			for (const n of named ?? shards.keys()) {
				const shard = shards[n]!;
				const lacks = Object.values(content.rule_sets).find(({ digest }) => bodies[digest] === undefined && !kv.has(`rule-set/${digest}`));
				if (shard.down || lacks) {
					answer.failed.push({ shard: n, error: lacks ? `nobody has ${lacks.digest}` : 'no answer' });
					continue;
				}
				if (content.release >= (shard.release?.release ?? 0)) {
					shard.release = content;
					shard.pointer = pointer;
				}
				answer.acknowledged.push({ shard: n, release: shard.release!.release });
			}
			return answer;
		},
		async pushEntries(request) {
			calls.push('pushEntries');
			const shard = reach(request.shard)!;
			for (const entry of entriesRequest.parse(JSON.parse(JSON.stringify(request))).entries) {
				if (partition(entry.region_id, partitions) !== request.shard) throw new Error(`${entry.region_id} is not of shard ${request.shard}`);
				if (entry.version > (shard.entries.get(entry.region_id)?.version ?? 0)) shard.entries.set(entry.region_id, entry);
			}
		},
		async shardState(n) {
			const shard = reach(n)!;
			return {
				shard: n,
				release: shard.release?.release ?? null,
				keys_version: shard.pointer?.keys.version ?? null,
				entries: Object.fromEntries([...shard.entries].map(([id, entry]) => [id, entry.version])),
				epoch: 0,
				seq: 0,
				as_of: null,
			};
		},
		async regionFeatures(regionId) {
			const shard = reach(partition(regionId, partitions))!;
			if (!shard.entries.has(regionId)) return null;
			const held = shard.features.get(regionId) ?? { version: null, as_of: null, values: null };
			return { region_id: regionId, now: 1_768_127_400_000, ...held };
		},
		async putBody(key, text) {
			calls.push(`putBody ${key.split('/')[0]}`);
			if (edge.down || edge.kvDown) throw noAnswer();
			kv.set(key, text);
		},
		async getBody(key) {
			if (edge.down || edge.kvDown) throw noAnswer();
			return kv.get(key) ?? null;
		},
		async putBytes(key, bytes) {
			calls.push(`putBytes ${key.split('/')[0]}`);
			if (edge.down || edge.kvDown) throw noAnswer();
			kv.set(key, Buffer.from(bytes).toString('latin1'));
		},
		async getBytes(key) {
			if (edge.down || edge.kvDown) throw noAnswer();
			const value = kv.get(key);
			return value === undefined ? null : Buffer.from(value, 'latin1');
		},
		async tryModel({ rows }) {
			calls.push('tryModel');
			reach();
			return edge.tried(rows);
		},
	};
	return edge;
}
