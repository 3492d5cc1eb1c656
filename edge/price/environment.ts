// Types only of the other script: a value import would pull ONNX Runtime's .wasm into this bundle.
import type { Outbox } from '../shard/outbox.ts';
import type { Shard } from '../shard/shard.ts';

export interface PriceEnvironment {
	SHARD: DurableObjectNamespace<Shard>;
	OUTBOX: DurableObjectNamespace<Outbox>;
	/** The shard script, for /internal/*. */
	INTERNAL: Fetcher;
	/** `release`, `catalogue/<n>`, `rule-set/<digest>`. */
	RELEASES: KVNamespace;
	/** Shards = partitions of the log. */
	PARTITIONS: string;
	/** Public keys of role service, by kid: control-plane's signs the release in KV. */
	SERVICE_JWKS: string;
	/** Secret: keys the hash of user ids. */
	USER_PEPPER: string;
	/** Where objects are made when they are first asked for (wnam, enam, weur, apac, ...); unset: near the first caller. */
	LOCATION_HINT?: string;
	/** Prices a token's subject may ask for in 10 seconds; unset: no limit. */
	RATE_LIMIT_PRICES_PER_10S?: string;
}
