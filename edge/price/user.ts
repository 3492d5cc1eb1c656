import { hmacSha256 } from './hmac-sha256.ts';

const encoder = new TextEncoder();
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
let keyed: { pepper: string; sign: (message: Uint8Array) => Uint8Array } | undefined;

/** The user's id as a keyed hash (HMAC-SHA256, hex), and its bucket 0..99: the same user is always in the same one. */
export function hashUser(userId: string, pepper: string): { user_hash: string; bucket: number } {
	if (keyed?.pepper !== pepper) keyed = { pepper, sign: hmacSha256(encoder.encode(pepper)) };
	const bytes = keyed.sign(encoder.encode(userId));
	const bucket = ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
	let user_hash = '';
	for (const byte of bytes) user_hash += HEX[byte]!;
	return { user_hash, bucket: bucket % 100 };
}
