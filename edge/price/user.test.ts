import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hmacSha256 } from './hmac-sha256.ts';
import { hashUser } from './user.ts';

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
async function bySubtle(key: Uint8Array, message: Uint8Array): Promise<string> {
	const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
	return hex(new Uint8Array(await crypto.subtle.sign('HMAC', imported, message)));
}

describe('hmacSha256()', () => {
	it('is what crypto.subtle says, of every length around a block', async () => {
		for (let length = 0; length <= 200; length++) {
			const message = crypto.getRandomValues(new Uint8Array(length));
			for (const keyLength of [1, 32, 63, 64, 65, 200]) {
				const key = crypto.getRandomValues(new Uint8Array(keyLength));
				expect(hex(hmacSha256(key)(message))).toBe(await bySubtle(key, message));
			}
		}
	});

	it('is the same the second time by the same key', async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.uint8Array({ minLength: 1, maxLength: 80 }),
				fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 4 }),
				async (key, messages) => {
					const sign = hmacSha256(key);
					for (const message of messages) expect(hex(sign(message))).toBe(await bySubtle(key, message));
				},
			),
			{ numRuns: 100 },
		);
	});
});

describe('hashUser()', () => {
	it('depends on the id and the pepper, and spreads users over the buckets', () => {
		expect(hashUser('u-77', 'a')).toEqual(hashUser('u-77', 'a'));
		expect(hashUser('u-77', 'a').user_hash).not.toBe(hashUser('u-77', 'b').user_hash);
		expect(hashUser('u-77', 'a').user_hash).toMatch(/^[0-9a-f]{64}$/);
		const buckets = new Set(Array.from({ length: 3000 }, (_, n) => hashUser(`u-${n}`, 'a').bucket));
		expect([Math.min(...buckets), Math.max(...buckets), buckets.size]).toEqual([0, 99, 100]);
	});
});
