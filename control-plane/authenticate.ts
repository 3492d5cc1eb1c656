import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { limits } from '#schemas/limits.ts';
import { LOCAL_ISSUER, SERVICE_ISSUER } from './configuration.ts';

/** Who calls, by a token that was found good. */
export interface Caller {
	subject: string;
	role: string;
}

/** The caller behind an `Authorization` header; null for anything wrong with it, never saying what. Never throws, never fetches. */
export type Authenticate = (authorization: string | null | undefined) => Promise<Caller | null>;

interface Issuer {
	issuer: string;
	audience: string;
	/** Read at every new token, so that renewed keys count at once. */
	jwks: () => JSONWebKeySet;
}

const BEARER = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i;

/**
 * Verifies the clients' tokens and those of role service. A token that was found good is remembered until its exp, up to limits.tokens_verified_max.
 * The two issuers are apart: a clients' token that claims role service is refused, whoever signed it.
 */
export function createAuthenticate({ clients, serviceJwks }: { clients: Issuer; serviceJwks: JSONWebKeySet }): Authenticate {
	const known = new Map<string, Caller & { exp: number }>();
	const serviceKeys = createLocalJWKSet(serviceJwks);
	let clientKeys: { jwks: JSONWebKeySet; get: JWTVerifyGetKey } | undefined;
	const keysOfClients = (): JWTVerifyGetKey => {
		const jwks = clients.jwks();
		if (clientKeys?.jwks !== jwks) {
			clientKeys = { jwks, get: createLocalJWKSet(jwks) };
			known.clear(); // a key that was withdrawn must not live on in here
		}
		return clientKeys.get;
	};
	const algorithms = clients.issuer === LOCAL_ISSUER ? ['EdDSA'] : ['EdDSA', 'ES256', 'RS256'];

	return async (authorization) => {
		// The length first: nothing of a long one is decoded.
		if (!authorization || authorization.length > limits.token_chars_max) return null;
		const token = BEARER.exec(authorization)?.[1];
		if (!token) return null;
		const keys = keysOfClients();
		const remembered = known.get(token);
		if (remembered) {
			if (remembered.exp + limits.token_leeway_seconds > Date.now() / 1000) return remembered;
			known.delete(token);
			return null;
		}
		try {
			const service = decodeJwt(token).iss === SERVICE_ISSUER;
			const { payload } = await jwtVerify(token, service ? serviceKeys : keys, {
				algorithms: service ? ['EdDSA'] : algorithms,
				issuer: service ? SERVICE_ISSUER : clients.issuer,
				audience: clients.audience,
				requiredClaims: ['exp', 'sub', 'role'],
				clockTolerance: limits.token_leeway_seconds,
			});
			const { sub, exp, role } = payload;
			if (typeof sub !== 'string' || sub === '' || typeof exp !== 'number' || typeof role !== 'string' || (role === 'service') !== service) return null;
			// The oldest goes first: a Map keeps the order of insertion.
			if (known.size >= limits.tokens_verified_max) known.delete(known.keys().next().value ?? '');
			const caller = { subject: sub, role, exp };
			known.set(token, caller);
			return caller;
		} catch {
			return null;
		}
	};
}
