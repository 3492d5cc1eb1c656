import { errors, jwtVerify } from 'jose';
import { limits } from '#schemas/limits.ts';
import { clientKeys, type HeldKeys } from './client-keys.ts';
import { askForKeys } from './copies.ts';
import type { PriceEnvironment } from './environment.ts';
import { pointerFromKv } from './kv-copy.ts';

export interface Caller {
	subject: string;
	role: string;
	/** Seconds since 1970, wall clock. */
	exp: number;
}
type Judged = Caller | 'refused' | 'no_keys';

const TOKEN = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i;

/** Headers with tokens verified before: a known one costs no second signature check. The oldest go first. */
const known = new Map<string, Caller>();
/** The keys that they were verified by: with other ones nobody is known any more, since a key that was withdrawn must not live on in here. */
let knownBy: HeldKeys | undefined;
/** Wall clock, when a token named a key that nobody here knew. */
let askedForKeyAt = 0;

/** The caller of a header seen before, else undefined: without a promise, since nearly every request comes this way. */
export function knownCaller(header: string | null): Caller | undefined {
	if (header === null || knownBy !== clientKeys()) return undefined;
	const caller = known.get(header);
	return caller && caller.exp + limits.token_leeway_seconds > Date.now() / 1000 ? caller : undefined;
}

/**
 * Who calls. `refused` for anything wrong with the token; `no_keys` when this isolate could not get the clients' keys from anybody.
 * Never fetches an issuer: the keys travel with the release.
 */
export async function authenticate(header: string | null, env: PriceEnvironment, ctx: ExecutionContext): Promise<Judged> {
	const token = header && header.length <= limits.token_chars_max ? TOKEN.exec(header)?.[1] : undefined;
	if (!header || !token) return 'refused';
	if (!clientKeys()) {
		await askForKeys(env, ctx);
		if (!clientKeys()) await pointerFromKv(env);
	}
	const held = clientKeys();
	if (!held) return 'no_keys';
	const first = await verify(token, held);
	if (first !== 'unknown_key') return remember(header, first, held);
	// A new key may be in force since this isolate last asked. Once a second at most, whatever comes.
	const now = Date.now();
	if (now - askedForKeyAt < limits.keys_ask_ms) return 'refused';
	askedForKeyAt = now;
	await askForKeys(env, ctx);
	const newer = clientKeys() ?? held;
	if (newer === held) return 'refused';
	const second = await verify(token, newer);
	return second === 'unknown_key' ? 'refused' : remember(header, second, newer);
}

async function verify(token: string, { keys, get }: HeldKeys): Promise<Caller | 'refused' | 'unknown_key'> {
	try {
		const { payload } = await jwtVerify(token, get, {
			algorithms: keys.issuer === 'surgecast-local' ? ['EdDSA'] : ['EdDSA', 'ES256', 'RS256'],
			issuer: keys.issuer,
			audience: keys.audience,
			requiredClaims: ['exp', 'sub', 'role'],
			clockTolerance: limits.token_leeway_seconds,
		});
		const { sub, exp, role } = payload;
		if (typeof sub !== 'string' || sub === '' || typeof exp !== 'number' || typeof role !== 'string') return 'refused';
		return { subject: sub, role, exp };
	} catch (error) {
		return error instanceof errors.JWKSNoMatchingKey ? 'unknown_key' : 'refused';
	}
}

function remember(header: string, judged: Caller | 'refused', by: HeldKeys): Caller | 'refused' {
	if (judged === 'refused' || header.length > limits.token_chars_remembered_max) return judged;
	if (knownBy !== by) {
		known.clear();
		knownBy = by;
	}
	if (known.size >= limits.tokens_verified_max) known.delete(known.keys().next().value ?? '');
	known.set(header, judged);
	return judged;
}
