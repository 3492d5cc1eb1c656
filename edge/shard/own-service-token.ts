import { importJWK, type JWK, SignJWT } from 'jose';
import { limits } from '#schemas/limits.ts';
import { SERVICE_ISSUER } from '../service-keys.ts';
import type { ShardEnvironment } from './environment.ts';

let own: { token: string; until: number } | undefined;

/** A token of role service of the edge's own, made anew when half of its time is over. */
export async function ownServiceToken(env: ShardEnvironment): Promise<string> {
	const nowSeconds = Math.floor(Date.now() / 1000);
	if (own && own.until > nowSeconds + limits.service_token_seconds / 2) return own.token;
	const jwk = JSON.parse(env.EDGE_SERVICE_KEY) as JWK;
	const until = nowSeconds + limits.service_token_seconds;
	const token = await new SignJWT({ role: 'service' })
		.setProtectedHeader({ alg: 'EdDSA', kid: jwk.kid ?? 'edge' })
		.setIssuer(SERVICE_ISSUER)
		.setSubject('edge')
		.setAudience(env.AUTH_AUDIENCE)
		.setIssuedAt(nowSeconds)
		.setExpirationTime(until)
		.sign(await importJWK(jwk, 'EdDSA'));
	own = { token, until };
	return token;
}
