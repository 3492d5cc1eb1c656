import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importJWK, type JSONWebKeySet, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createAuthenticate } from './authenticate.ts';
import { type Keys, localJwks, mintToken, openKeys, serviceJwks, serviceToken } from './keys.ts';

let dir: string;
let keys: Keys;
beforeAll(() => {
	dir = mkdtempSync(join(tmpdir(), 'surgecast-auth-'));
	keys = openKeys(dir);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(() => vi.restoreAllMocks());

const local = () => createAuthenticate({ clients: { issuer: 'surgecast-local', audience: 'surgecast', jwks: jwksOnce() }, serviceJwks: serviceJwks(keys) });
const jwksOnce = () => {
	const jwks = localJwks(keys);
	return () => jwks;
};
const now = () => Math.floor(Date.now() / 1000);

async function forge(claims: Record<string, unknown>, { key = keys.issuer, header = {} }: { key?: Keys['issuer']; header?: Record<string, unknown> } = {}) {
	return new SignJWT({ iss: 'surgecast-local', aud: 'surgecast', sub: 'me', role: 'viewer', exp: now() + 60, ...claims })
		.setProtectedHeader({ alg: 'EdDSA', kid: key.kid, ...header })
		.sign(await importJWK(key, 'EdDSA'));
}

describe('createAuthenticate()', () => {
	it('knows a good token, the second time without looking', async () => {
		const authenticate = local();
		const header = `Bearer ${await mintToken(keys, { role: 'author', subject: 'ann', ttl_seconds: 60, audience: 'surgecast' })}`;
		expect(await authenticate(header)).toMatchObject({ subject: 'ann', role: 'author' });
		expect(await authenticate(header)).toMatchObject({ subject: 'ann', role: 'author' });
	});

	it('knows role service by its own keys only', async () => {
		const authenticate = local();
		expect(await authenticate(`Bearer ${await serviceToken(keys, { kind: 'edge', audience: 'surgecast' })}`)).toMatchObject({
			subject: 'edge',
			role: 'service',
		});
		expect(await authenticate(`Bearer ${await forge({ role: 'service' })}`)).toBeNull();
		expect(await authenticate(`Bearer ${await forge({ role: 'admin' }, { key: keys.services.edge })}`)).toBeNull();
		expect(await authenticate(`Bearer ${await forge({ role: 'admin', iss: 'surgecast-service' }, { key: keys.services.edge })}`)).toBeNull();
		expect(await authenticate(`Bearer ${await forge({ role: 'service', iss: 'surgecast-service' })}`)).toBeNull();
	});

	it('B9: allows 5 seconds of leeway and no more, expired or not yet valid, for remembered tokens too', async () => {
		const authenticate = local();
		expect(await authenticate(`Bearer ${await forge({ exp: now() - 3 })}`)).not.toBeNull();
		expect(await authenticate(`Bearer ${await forge({ exp: now() - 7 })}`)).toBeNull();
		expect(await authenticate(`Bearer ${await forge({ nbf: now() + 60 })}`)).toBeNull();
	});

	it('B9: refuses everything else, never throws and never fetches', async () => {
		const fetching = vi.spyOn(globalThis, 'fetch');
		const authenticate = local();
		const good = await forge({});
		const [head, body, signature] = good.split('.') as [string, string, string];
		const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
		const other = openKeys(join(dir, 'other')).issuer;
		const bad: (string | null | undefined)[] = [
			undefined,
			null,
			'',
			'Bearer',
			'Bearer ',
			good,
			`Basic ${good}`,
			`Bearer ${good} ${good}`,
			`Bearer ${good}x`,
			`Bearer ${head}.${body}.`,
			`Bearer ${encode({ alg: 'none' })}.${body}.`,
			`Bearer ${encode({ alg: 'none' })}.${body}.${signature}`,
			`Bearer ${encode({ alg: 'HS256', kid: keys.issuer.kid })}.${body}.${signature}`,
			`Bearer ${head}.${encode({ role: 'admin' })}.${signature}`,
			`Bearer a.b.c`,
			`Bearer ${'a'.repeat(50_000)}.${'b'.repeat(50_000)}.c`,
			`Bearer ${await forge({ aud: 'other' })}`,
			`Bearer ${await forge({ iss: 'other' })}`,
			`Bearer ${await forge({ sub: undefined })}`,
			`Bearer ${await forge({ role: undefined })}`,
			`Bearer ${await forge({ role: ['admin'] })}`,
			`Bearer ${await forge({ exp: undefined })}`,
			`Bearer ${await forge({}, { key: other })}`,
			`Bearer ${await forge({}, { header: { kid: 'unknown' } })}`,
		];
		for (const header of bad) expect(await authenticate(header), header?.slice(0, 80)).toBeNull();
		expect(fetching).not.toHaveBeenCalled();
	});

	it('B9: takes no public RSA key for an HMAC secret, and no header that brings its own key', async () => {
		const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
		const jwks = { keys: [{ ...rsa.publicKey.export({ format: 'jwk' }), kid: 'r', alg: 'RS256' }] } as JSONWebKeySet;
		const issuer = 'https://issuer.example';
		const authenticate = createAuthenticate({ clients: { issuer, audience: 'surgecast', jwks: () => jwks }, serviceJwks: serviceJwks(keys) });
		const claims = { iss: issuer, aud: 'surgecast', sub: 'me', role: 'admin', exp: now() + 60 };
		const fetching = vi.spyOn(globalThis, 'fetch');
		for (const secret of [rsa.publicKey.export({ type: 'spki', format: 'pem' }), JSON.stringify(jwks.keys[0])])
			expect(await authenticate(`Bearer ${await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'r' }).sign(Buffer.from(secret))}`)).toBeNull();
		const own = generateKeyPairSync('ed25519');
		for (const header of [
			{ jwk: own.publicKey.export({ format: 'jwk' }) as { kty: string } },
			{ jku: 'http://127.0.0.1:1/keys' },
			{ x5u: 'http://127.0.0.1:1/keys' },
		])
			expect(await authenticate(`Bearer ${await new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', ...header }).sign(own.privateKey)}`)).toBeNull();
		expect(await authenticate(`Bearer ${await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'r' }).sign(rsa.privateKey)}`)).not.toBeNull();
		expect(fetching).not.toHaveBeenCalled();
	});

	it('takes EdDSA, ES256 and RS256 of an external issuer, and drops what a withdrawn key signed', async () => {
		const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
		const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
		const jwk = (key: typeof rsa.publicKey, kid: string, alg: string) => ({ ...key.export({ format: 'jwk' }), kid, alg });
		let jwks = { keys: [jwk(rsa.publicKey, 'r', 'RS256'), jwk(ec.publicKey, 'e', 'ES256')] } as JSONWebKeySet;
		const issuer = 'https://issuer.example';
		const authenticate = createAuthenticate({ clients: { issuer, audience: 'surgecast', jwks: () => jwks }, serviceJwks: serviceJwks(keys) });
		const sign = (alg: string, kid: string, key: typeof rsa.privateKey) =>
			new SignJWT({ iss: issuer, aud: 'surgecast', sub: 'me', role: 'viewer', exp: now() + 60 }).setProtectedHeader({ alg, kid }).sign(key);
		const [byRsa, byEc] = [`Bearer ${await sign('RS256', 'r', rsa.privateKey)}`, `Bearer ${await sign('ES256', 'e', ec.privateKey)}`];
		expect(await authenticate(byRsa)).toMatchObject({ role: 'viewer' });
		expect(await authenticate(byEc)).toMatchObject({ role: 'viewer' });
		expect(await authenticate(`Bearer ${await forge({})}`)).toBeNull();
		jwks = { keys: jwks.keys.slice(1) };
		expect(await authenticate(byRsa)).toBeNull();
		expect(await authenticate(byEc)).not.toBeNull();
	});
});
