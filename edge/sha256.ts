const encoder = new TextEncoder();

/** SHA-256 of bytes, or of a text's UTF-8 bytes, lower-case hex. */
export async function sha256(data: string | ArrayBuffer): Promise<string> {
	const bytes = new Uint8Array(await crypto.subtle.digest('SHA-256', typeof data === 'string' ? encoder.encode(data) : data));
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
