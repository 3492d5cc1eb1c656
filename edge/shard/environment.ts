import type { Outbox } from './outbox.ts';
import type { Shard } from './shard.ts';

export interface ShardEnvironment {
	SHARD: DurableObjectNamespace<Shard>;
	OUTBOX: DurableObjectNamespace<Outbox>;
	/** `release`, `catalogue/<n>`, `rule-set/<digest>`, `model/<digest>`. */
	RELEASES: KVNamespace;
	/** Shards = partitions of the log. */
	PARTITIONS: string;
	AUTH_AUDIENCE: string;
	/** Where objects are made when they are first asked for (wnam, enam, weur, apac, ...); unset: near the first caller. */
	LOCATION_HINT?: string;
	/** Redis with the mirror of features, from which a Shard that lost its memory catches up; both or neither. */
	UPSTASH_REDIS_REST_URL?: string;
	/** Secret. */
	UPSTASH_REDIS_REST_TOKEN?: string;
	/** Where the Outbox sends decisions. */
	INGEST_URL: string;
	/** Public keys of role service, by kid: control-plane, stream, edge. */
	SERVICE_JWKS: string;
	/** Secret: the private JWK with which the Outbox signs its token. */
	EDGE_SERVICE_KEY: string;
}
