import { jwtVerify } from 'jose';
import { limits } from '#schemas/limits.ts';
import { SERVICE_ISSUER, serviceKeys } from '../service-keys.ts';
import type { ShardEnvironment } from './environment.ts';

/** Tokens verified before, until their exp (seconds), the oldest first: a signature check costs 80 us, a frame comes ten times a second. */
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
			issuer: SERVICE_ISSUER,
			audience: env.AUTH_AUDIENCE,
			requiredClaims: ['exp'],
			clockTolerance: limits.token_leeway_seconds,
		});
		if (payload['role'] !== 'service') return false;
		if (token.length > limits.token_chars_remembered_max) return true;
		if (known.size >= limits.tokens_verified_max) known.delete(known.keys().next().value ?? '');
		known.set(token, payload.exp ?? 0);
		return true;
	} catch {
		return false;
	}
}
