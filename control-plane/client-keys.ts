import type { JSONWebKeySet } from 'jose';
import * as z from 'zod';
import { limits } from '#schemas/limits.ts';
import { boundedText } from './bounded-text.ts';

/** Public members only: whatever else an issuer publishes (or leaks) goes no further. */
const publicKey = z.object({
	kty: z.enum(['OKP', 'EC', 'RSA']),
	crv: z.string().optional(),
	x: z.string().optional(),
	y: z.string().optional(),
	n: z.string().optional(),
	e: z.string().optional(),
	kid: z.string().max(256).optional(),
	alg: z.string().max(16).optional(),
	use: z.string().max(16).optional(),
});

const usable = ({ kty, crv, use }: z.output<typeof publicKey>): boolean =>
	(use === undefined || use === 'sig') && (kty === 'RSA' || (kty === 'OKP' && crv === 'Ed25519') || (kty === 'EC' && crv === 'P-256'));

/**
 * Fetches an external issuer's keys: those for EdDSA, ES256 and RS256.
 * @throws when the issuer does not answer in limits.jwks_fetch_ms, or not with usable keys.
 */
export async function fetchJwks(url: string): Promise<JSONWebKeySet> {
	const response = await fetch(url, { signal: AbortSignal.timeout(limits.jwks_fetch_ms), redirect: 'error', headers: { accept: 'application/json' } });
	if (!response.ok) throw new Error(`Cannot fetch the keys of "${url}": status ${response.status}`);
	const text = await boundedText(response, limits.jwks_bytes_max).catch((cause: Error) => {
		throw new Error(`Cannot fetch the keys of "${url}": ${cause.message}`, { cause });
	});
	const { keys } = z.object({ keys: z.array(z.unknown()) }).parse(JSON.parse(text));
	const good = keys.flatMap((key) => {
		const parsed = publicKey.safeParse(key);
		return parsed.success && usable(parsed.data) ? [parsed.data] : [];
	});
	if (good.length === 0) throw new Error(`Cannot use the keys of "${url}": none is for EdDSA, ES256 or RS256`);
	return { keys: good } as JSONWebKeySet;
}
