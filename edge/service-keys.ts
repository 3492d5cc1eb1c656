import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';

/** Who makes the tokens of role service: never the clients' issuer, whatever its tokens claim. */
export const SERVICE_ISSUER = 'surgecast-service';

let held: { text: string; get: JWTVerifyGetKey } | undefined;

/** The public keys of role service, as both Workers have them in their configuration. */
export function serviceKeys({ SERVICE_JWKS }: { SERVICE_JWKS: string }): JWTVerifyGetKey {
	if (held?.text !== SERVICE_JWKS) held = { text: SERVICE_JWKS, get: createLocalJWKSet(JSON.parse(SERVICE_JWKS) as JSONWebKeySet) };
	return held.get;
}
