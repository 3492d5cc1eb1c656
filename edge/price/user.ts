const encoder = new TextEncoder();
let key: { pepper: string; hmac: CryptoKey } | undefined;

/** The user's id as a keyed hash (HMAC-SHA256, hex), and its bucket 0..99: the same user is always in the same one. */
export async function hashUser(userId: string, pepper: string): Promise<{ user_hash: string; bucket: number }> {
	if (key?.pepper !== pepper)
		key = { pepper, hmac: await crypto.subtle.importKey('raw', encoder.encode(pepper), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']) };
	const bytes = new Uint8Array(await crypto.subtle.sign('HMAC', key.hmac, encoder.encode(userId)));
	const bucket = ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
	return { user_hash: Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(''), bucket: bucket % 100 };
}
