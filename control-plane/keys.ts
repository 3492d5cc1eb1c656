import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CompactSign, importJWK, type JSONWebKeySet, type JWK, SignJWT } from 'jose';
import * as z from 'zod';
import { limits } from '#schemas/limits.ts';
import { type Role, roles } from '#schemas/role.ts';
import { LOCAL_ISSUER, SERVICE_ISSUER } from './configuration.ts';

export const serviceKinds = ['control-plane', 'stream', 'edge'] as const;
/** A kind of process; each has a signing key of its own, and its kid is the kind. */
export type ServiceKind = (typeof serviceKinds)[number];

const privateJwk = z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string(), d: z.string(), kid: z.string() });
type PrivateJwk = z.output<typeof privateJwk>;

const keysFile = z.object({
	issuer: privateJwk,
	services: z.object({ 'control-plane': privateJwk, stream: privateJwk, edge: privateJwk }),
	pepper: z.object({ version: z.int().positive(), value: z.string().min(43) }),
});

/** The secrets of a deployment. Never logged, never answered. */
export interface Keys {
	/** Signs the tokens of the local issuer. */
	issuer: PrivateJwk;
	/** Private keys by kind of process. */
	services: Record<ServiceKind, PrivateJwk>;
	/** Keys the hashes of user and driver ids: 32 random bytes, base64url. */
	pepper: { version: number; value: string };
}

function makeKey(kid: string): PrivateJwk {
	return privateJwk.parse({ ...generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }), kid });
}

function makeKeys(): Keys {
	return {
		issuer: makeKey(`local-${randomBytes(8).toString('hex')}`),
		services: { 'control-plane': makeKey('control-plane'), stream: makeKey('stream'), edge: makeKey('edge') },
		pepper: { version: 1, value: randomBytes(32).toString('base64url') },
	};
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/**
 * The keys of `<dataDir>/keys.json`, made at the first call. Two processes that race agree: each writes a file of its own, and the first to link it wins.
 * @throws when the file is there but cannot be read or is not ours; it is never replaced.
 */
export function openKeys(dataDir: string): Keys {
	const file = join(dataDir, 'keys.json');
	const read = (): Keys => {
		const text = readFileSync(file, 'utf8');
		try {
			return keysFile.parse(JSON.parse(text));
		} catch {
			throw new Error(`Cannot read the keys in "${file}": not a keys file; wanted is the one that surgecast wrote, or none`);
		}
	};
	try {
		return read();
	} catch (error) {
		if (!isMissing(error)) throw error;
	}
	mkdirSync(dataDir, { recursive: true, mode: 0o700 });
	const mine = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
	// Written and flushed before it gets its name: whoever sees keys.json sees it whole.
	writeFileSync(mine, `${JSON.stringify(makeKeys(), null, '\t')}\n`, { mode: 0o600, flag: 'wx', flush: true });
	try {
		linkSync(mine, file);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // EEXIST: the other process was first, and its keys count
	} finally {
		rmSync(mine, { force: true });
	}
	return read();
}

function publicJwk({ kty, crv, x, kid }: PrivateJwk): JWK {
	return { kty, crv, x, kid, alg: 'EdDSA', use: 'sig' };
}

/** The public keys of the local issuer. */
export const localJwks = (keys: Keys): JSONWebKeySet => ({ keys: [publicJwk(keys.issuer)] });

/** The public keys of role service, one a kind of process: configuration of the Workers. */
export const serviceJwks = (keys: Keys): JSONWebKeySet => ({ keys: serviceKinds.map((kind) => publicJwk(keys.services[kind])) });

interface TokenClaims {
	role: Exclude<Role, 'service'>;
	subject: string;
	ttl_seconds: number;
	audience: string;
}

/** A token of the local issuer. @throws on a role that is none of `roles`; role service is never made here. */
export async function mintToken(keys: Keys, { role, subject, ttl_seconds, audience }: TokenClaims): Promise<string> {
	if (!roles.includes(role)) throw new Error(`Cannot make a token of role "${role}": wanted is one of ${roles.join(', ')}`);
	return sign(keys.issuer, { role, subject, ttl_seconds, audience, issuer: LOCAL_ISSUER });
}

/** A token of role service that says which kind of process calls. Lives limits.service_token_seconds. */
export async function serviceToken(keys: Keys, { kind, audience }: { kind: ServiceKind; audience: string }): Promise<string> {
	return sign(keys.services[kind], { role: 'service', subject: kind, ttl_seconds: limits.service_token_seconds, audience, issuer: SERVICE_ISSUER });
}

/** Gives a service token that has at least half of its life before it; makes one when it has none. */
export function serviceTokenSource(keys: Keys, options: { kind: ServiceKind; audience: string }): () => Promise<string> {
	let held: { token: Promise<string>; renewAt: number } | undefined;
	return () => {
		const now = performance.now();
		if (!held || now >= held.renewAt) held = { token: serviceToken(keys, options), renewAt: now + limits.service_token_seconds * 500 };
		return held.token;
	};
}

/** A text signed as a compact JWS by a kind of process, kid = kind. */
export async function signText(keys: Keys, { kind, text }: { kind: ServiceKind; text: string }): Promise<string> {
	const key = keys.services[kind];
	return new CompactSign(new TextEncoder().encode(text)).setProtectedHeader({ alg: 'EdDSA', kid: key.kid }).sign(await importJWK(key, 'EdDSA'));
}

async function sign(key: PrivateJwk, { role, subject, ttl_seconds, audience, issuer }: Omit<TokenClaims, 'role'> & { role: Role; issuer: string }) {
	const now = Math.floor(Date.now() / 1000);
	return new SignJWT({ role })
		.setProtectedHeader({ alg: 'EdDSA', kid: key.kid })
		.setIssuer(issuer)
		.setAudience(audience)
		.setSubject(subject)
		.setIssuedAt(now)
		.setExpirationTime(now + ttl_seconds)
		.sign(await importJWK(key, 'EdDSA'));
}
