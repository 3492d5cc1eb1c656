import { jwtVerify } from 'jose';
import { limits } from '#schemas/limits.ts';
import { clientKeys } from './client-keys.ts';
import { askForKeys } from './copies.ts';
import type { PriceEnvironment } from './environment.ts';
import { pointerFromKv } from './kv-copy.ts';

export interface Caller {
	subject: string;
	role: string;
	/** Seconds since 1970, wall clock. */
	exp: number;
}

const TOKEN = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/;

/** Tokens verified before: a known one costs no second signature check. The oldest go first. */
const known = new Map<string, Caller>();

/**
 * Who calls. `refused` for anything wrong with the token; `no_keys` when this isolate could not get the clients' keys from anybody.
 * Never fetches an issuer: the keys travel with the release.
 */
export async function authenticate(header: string | null | undefined, env: PriceEnvironment, ctx: ExecutionContext): Promise<Caller | 'refused' | 'no_keys'> {
	const token = header && header.length <= limits.token_chars_max ? TOKEN.exec(header)?.[1] : undefined;
	if (!token) return 'refused';
	const nowSeconds = Date.now() / 1000;
	const caller = known.get(token);
	if (caller) {
		if (caller.exp + limits.token_leeway_seconds > nowSeconds) return caller;
		known.delete(token);
		return 'refused';
	}
	if (!clientKeys()) {
		await askForKeys(env, ctx);
		if (!clientKeys()) await pointerFromKv(env);
	}
	const held = clientKeys();
	if (!held) return 'no_keys';
	try {
		const { payload } = await jwtVerify(token, held.get, {
			algorithms: held.keys.issuer === 'surgecast-local' ? ['EdDSA'] : ['EdDSA', 'ES256', 'RS256'],
			issuer: held.keys.issuer,
			audience: held.keys.audience,
			requiredClaims: ['exp', 'sub'],
			clockTolerance: limits.token_leeway_seconds,
		});
		const verified: Caller = { subject: String(payload.sub), role: String(payload['role']), exp: payload.exp ?? 0 };
		if (known.size >= limits.tokens_verified_max) known.delete(known.keys().next().value ?? '');
		known.set(token, verified);
		return verified;
	} catch {
		return 'refused';
	}
}
