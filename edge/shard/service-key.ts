import { createLocalJWKSet, importJWK, type JSONWebKeySet, type JWK, type JWTVerifyGetKey, jwtVerify, SignJWT } from 'jose';
import { limits } from '#schemas/limits.ts';
import type { ShardEnvironment } from './environment.ts';

const ISSUER = 'surgecast-service';
const TTL_SECONDS = 300;

let keySet: { text: string; get: JWTVerifyGetKey } | undefined;

/** The public keys of role service, as configured. */
export function serviceKeys(env: Pick<ShardEnvironment, 'SERVICE_JWKS'>): JWTVerifyGetKey {
	if (keySet?.text !== env.SERVICE_JWKS) keySet = { text: env.SERVICE_JWKS, get: createLocalJWKSet(JSON.parse(env.SERVICE_JWKS) as JSONWebKeySet) };
	return keySet.get;
}

/** Tokens verified before, until their exp (seconds): a signature check costs 80 us, a frame comes ten times a second. */
const known = new Map<string, number>();

/** Whether the request carries a token of role service. Everything wrong with it is just false. */
export async function isService(request: Request, env: ShardEnvironment): Promise<boolean> {
	const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/.exec(request.headers.get('authorization') ?? '')?.[1];
	if (!token || token.length > limits.token_chars_max) return false;
	const nowSeconds = Date.now() / 1000;
	const until = known.get(token);
	if (until !== undefined && until > nowSeconds) return true;
	try {
		const { payload } = await jwtVerify(token, serviceKeys(env), {
			algorithms: ['EdDSA'],
			issuer: ISSUER,
			audience: env.AUTH_AUDIENCE,
			requiredClaims: ['exp'],
			clockTolerance: limits.token_leeway_seconds,
		});
		if (payload['role'] !== 'service') return false;
		if (known.size >= limits.tokens_verified_max) known.clear();
		known.set(token, payload.exp ?? 0);
		return true;
	} catch {
		return false;
	}
}

let own: { token: string; until: number } | undefined;

/** A token of role service of the edge's own, made anew when it has less than a minute to go. */
export async function ownServiceToken(env: ShardEnvironment): Promise<string> {
	const nowSeconds = Math.floor(Date.now() / 1000);
	if (own && own.until > nowSeconds + 60) return own.token;
	const jwk = JSON.parse(env.EDGE_SERVICE_KEY) as JWK;
	const token = await new SignJWT({ role: 'service' })
		.setProtectedHeader({ alg: 'EdDSA', kid: jwk.kid ?? 'edge' })
		.setIssuer(ISSUER)
		.setSubject('edge')
		.setAudience(env.AUTH_AUDIENCE)
		.setIssuedAt(nowSeconds)
		.setExpirationTime(nowSeconds + TTL_SECONDS)
		.sign(await importJWK(jwk, 'EdDSA'));
	own = { token, until: nowSeconds + TTL_SECONDS };
	return token;
}
