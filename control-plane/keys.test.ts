import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compactVerify, createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { localJwks, mintToken, openKeys, serviceJwks, serviceToken, serviceTokenSource, signText } from './keys.ts';

const exec = promisify(execFile);
let dir: string;
beforeAll(() => {
	dir = mkdtempSync(join(tmpdir(), 'surgecast-keys-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('openKeys()', () => {
	it('makes keys that only their owner can read, and gives the same ever after', () => {
		const keys = openKeys(join(dir, 'a'));
		expect(statSync(join(dir, 'a', 'keys.json')).mode & 0o777).toBe(0o600);
		expect(openKeys(join(dir, 'a'))).toEqual(keys);
		expect(readdirSync(join(dir, 'a'))).toEqual(['keys.json']);
		expect(Buffer.from(keys.pepper.value, 'base64url')).toHaveLength(32);
		expect(keys.pepper.version).toBe(1);
	});

	it('lets processes that race agree', async () => {
		const program = `import { openKeys } from './control-plane/keys.ts'; console.log(openKeys(${JSON.stringify(join(dir, 'race'))}).pepper.value)`;
		const runs = await Promise.all(Array.from({ length: 4 }, () => exec(process.execPath, ['--input-type=module-typescript', '-e', program])));
		expect(new Set(runs.map(({ stdout }) => stdout))).toHaveProperty('size', 1);
		expect(readdirSync(join(dir, 'race'))).toEqual(['keys.json']);
	});

	it('never replaces a file that it cannot read', () => {
		const broken = mkdtempSync(join(dir, 'broken-'));
		writeFileSync(join(broken, 'keys.json'), '{"issuer":');
		expect(() => openKeys(broken)).toThrow(/Cannot read the keys/);
		expect(readFileSync(join(broken, 'keys.json'), 'utf8')).toBe('{"issuer":');
	});
});

describe('tokens', () => {
	it('carry what the contract says', async () => {
		const keys = openKeys(join(dir, 'a'));
		const token = await mintToken(keys, { role: 'viewer', subject: 'me', ttl_seconds: 60, audience: 'surgecast' });
		const { payload } = await jwtVerify(token, createLocalJWKSet(localJwks(keys)));
		expect(payload).toMatchObject({ iss: 'surgecast-local', aud: 'surgecast', sub: 'me', role: 'viewer' });
		expect(payload.exp! - payload.iat!).toBe(60);
	});

	it('of role service come by service keys only, kid = kind', async () => {
		const keys = openKeys(join(dir, 'a'));
		const token = await serviceToken(keys, { kind: 'stream', audience: 'surgecast' });
		expect(decodeProtectedHeader(token)).toEqual({ alg: 'EdDSA', kid: 'stream' });
		expect(decodeJwt(token)).toMatchObject({ iss: 'surgecast-service', sub: 'stream', role: 'service' });
		await jwtVerify(token, createLocalJWKSet(serviceJwks(keys)));
		await expect(jwtVerify(token, createLocalJWKSet(localJwks(keys)))).rejects.toThrow();
		await expect(mintToken(keys, { role: 'service' as 'viewer', subject: 'x', ttl_seconds: 1, audience: 'surgecast' })).rejects.toThrow(/role "service"/);
		const source = serviceTokenSource(keys, { kind: 'edge', audience: 'surgecast' });
		expect(await source()).toBe(await source());
	});

	it('public keys have no private part', () => {
		const keys = openKeys(join(dir, 'a'));
		expect(JSON.stringify([localJwks(keys), serviceJwks(keys)])).not.toContain('"d"');
	});

	it('signText() signs as a kind of process', async () => {
		const keys = openKeys(join(dir, 'a'));
		const jws = await signText(keys, { kind: 'control-plane', text: 'hello' });
		const { payload, protectedHeader } = await compactVerify(jws, createLocalJWKSet(serviceJwks(keys)));
		expect([new TextDecoder().decode(payload), protectedHeader.kid]).toEqual(['hello', 'control-plane']);
	});
});

describe('npm run token', () => {
	const run = (...args: string[]) =>
		exec(process.execPath, ['control-plane/token.ts', ...args], { env: { ...process.env, SURGECAST_DATA_DIR: join(dir, 'cli'), AUTH_AUDIENCE: 'fares' } }).then(
			({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
			({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, stdout, stderr }),
		);

	it('prints a token and nothing else', async () => {
		const { code, stdout, stderr } = await run('--role', 'operator', '--ttl', '7', '--subject', 'ann');
		expect([code, stderr]).toEqual([0, '']);
		expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
		const claims = decodeJwt(stdout.trim());
		expect(claims).toMatchObject({ role: 'operator', sub: 'ann', aud: 'fares' });
		expect(claims.exp! - claims.iat!).toBe(7);
		await jwtVerify(stdout.trim(), createLocalJWKSet(localJwks(openKeys(join(dir, 'cli')))));
	});

	it.each([
		[['--role', 'service']],
		[['--role', 'king']],
		[[]],
		[['--role', 'viewer', '--ttl', '0']],
		[['--role', 'viewer', '--subject', '']],
		[['--rolle', 'viewer']],
	])('refuses %j with a reason and exit 1', async (args) => {
		const { code, stdout, stderr } = await run(...args);
		expect([code, stdout]).toEqual([1, '']);
		expect(stderr.trim().split('\n')).toHaveLength(1);
	});
});
