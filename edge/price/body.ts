import { limits } from '#schemas/limits.ts';
import type { Refusal } from '#schemas/problem.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/** The request's JSON, or why it is refused: 415 before 413 before 400. A body is never read beyond the limit. */
export async function jsonBody(request: Request): Promise<{ ok: true; value: unknown } | { ok: false; refusal: Refusal }> {
	const refuse = (code: Refusal['code'], detail: string) => ({ ok: false as const, refusal: { code, detail } });
	const encoding = request.headers.get('content-encoding');
	if (encoding !== null && encoding !== 'identity') return refuse('unsupported_media_type', 'A compressed body is not taken');
	const type = request.headers.get('content-type') ?? '';
	if (!/^application\/json\s*(;|$)/i.test(type))
		return refuse('unsupported_media_type', `The content type must be application/json, not "${type.slice(0, 80)}"`);
	const tooLarge = () => refuse('too_large', `The body must not be over ${limits.edge_body_bytes_max} bytes`);
	const declared = request.headers.get('content-length');
	if (declared !== null && Number(declared) > limits.edge_body_bytes_max) return tooLarge();
	let bytes: Uint8Array | undefined;
	try {
		bytes = declared === null ? await bounded(request) : new Uint8Array(await request.arrayBuffer());
	} catch {
		return refuse('malformed_json', 'The body broke off');
	}
	if (!bytes || bytes.length > limits.edge_body_bytes_max) return tooLarge();
	try {
		return { ok: true, value: JSON.parse(decoder.decode(bytes)) };
	} catch {
		return refuse('malformed_json', 'The body is not JSON in UTF-8');
	}
}

/** A body without a declared length, up to the limit; undefined beyond it. */
async function bounded(request: Request): Promise<Uint8Array | undefined> {
	if (!request.body) return new Uint8Array();
	const chunks: Uint8Array[] = [];
	let size = 0;
	for await (const chunk of request.body) {
		size += chunk.length;
		if (size > limits.edge_body_bytes_max) return undefined;
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
