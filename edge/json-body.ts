import { limits } from '#schemas/limits.ts';
import type { Refusal } from '#schemas/problem.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
const JSON_TYPE = /^application\/json\s*(;|$)/i;

const refuse = (code: Refusal['code'], detail: string) => ({ ok: false as const, refusal: { code, detail } });

/** The request's JSON, or why it is refused: 415 before 413 before 400. A body is never read beyond `bytes_max`. */
export async function jsonBody(request: Request, bytes_max: number): Promise<{ ok: true; value: unknown } | { ok: false; refusal: Refusal }> {
	const { headers } = request;
	const encoding = headers.get('content-encoding');
	if (encoding !== null && encoding !== 'identity') return refuse('unsupported_media_type', 'A compressed body is not taken');
	const type = headers.get('content-type');
	if (type !== 'application/json' && !JSON_TYPE.test(type ?? ''))
		return refuse('unsupported_media_type', `The content type must be application/json, not "${(type ?? '').slice(0, limits.quoted_chars_max)}"`);
	let bytes: ArrayBuffer | Uint8Array | undefined;
	try {
		bytes = await boundedBody(request, bytes_max);
	} catch {
		return refuse('malformed_json', 'The body broke off');
	}
	if (!bytes) return refuse('too_large', `The body must not be over ${bytes_max} bytes`);
	try {
		return { ok: true, value: JSON.parse(decoder.decode(bytes)) };
	} catch {
		return refuse('malformed_json', 'The body is not JSON in UTF-8');
	}
}

/** The body's bytes; undefined beyond the limit, of which no more is read. @throws when the body breaks off. */
export async function boundedBody(message: Request | Response, bytes_max: number): Promise<ArrayBuffer | Uint8Array | undefined> {
	const declared = message.headers.get('content-length');
	if (declared !== null) {
		if (Number(declared) > bytes_max) return undefined;
		const bytes = await message.arrayBuffer();
		return bytes.byteLength > bytes_max ? undefined : bytes;
	}
	if (!message.body) return new Uint8Array();
	const chunks: Uint8Array[] = [];
	let size = 0;
	for await (const chunk of message.body) {
		size += chunk.length;
		if (size > bytes_max) return undefined;
		chunks.push(chunk);
	}
	const whole = new Uint8Array(size);
	let at = 0;
	for (const chunk of chunks) {
		whole.set(chunk, at);
		at += chunk.length;
	}
	return whole;
}
