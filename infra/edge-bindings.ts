import type { Configuration } from '#control-plane/configuration.ts';
import { type Keys, serviceJwks } from '#control-plane/keys.ts';

/** What the Workers are configured with; on Cloudflare the same names are variables and secrets (docs/edge.md). */
export interface EdgeBindings {
	both: Record<string, string>;
	/** The Shards' alone: no price request reads Redis, so its token has no business there. */
	shard: Record<string, string>;
}

/** @param options.virtual whether the deployment clock is a replayed city's. */
export function edgeBindings(configuration: Configuration, keys: Keys, { ingest_url, virtual }: { ingest_url: string; virtual: boolean }): EdgeBindings {
	const { partitions, auth, rateLimitPricesPer10s, redis } = configuration;
	const both = {
		PARTITIONS: String(partitions),
		AUTH_ISSUER: auth.issuer,
		AUTH_AUDIENCE: auth.audience,
		USER_PEPPER: keys.pepper.value,
		SERVICE_JWKS: JSON.stringify(serviceJwks(keys)),
		EDGE_SERVICE_KEY: JSON.stringify(keys.services.edge),
		INGEST_URL: ingest_url,
		...(rateLimitPricesPer10s === null ? {} : { RATE_LIMIT_PRICES_PER_10S: String(rateLimitPricesPer10s) }),
	};
	// On a city's clock nobody writes the mirror, and what is there is of another run: a Shard must not take it for this city's.
	return { both, shard: redis === null || virtual ? {} : { UPSTASH_REDIS_REST_URL: redis.url, UPSTASH_REDIS_REST_TOKEN: redis.token } };
}
