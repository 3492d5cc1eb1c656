import * as z from 'zod';
import { tryModelAnswer } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import type { Edge } from './edge.ts';
import { traceparent } from './trace-context.ts';
import { UnavailableError } from './unavailable-error.ts';

const decoder = new TextDecoder();

const releasesAnswer = z.object({
	acknowledged: z.array(z.object({ shard: z.int(), release: z.int() })),
	failed: z.array(z.object({ shard: z.int(), error: z.string() })),
});
const shardState = z.object({
	shard: z.int(),
	release: z.int().nullable(),
	keys_version: z.int().nullable(),
	entries: z.record(z.string(), z.int()),
	epoch: z.int(),
	seq: z.int(),
	as_of: z.number().nullable(),
});
const regionFeatures = z.object({
	region_id: z.string(),
	version: z.int().nullable(),
	as_of: z.number().nullable(),
	now: z.number(),
	values: z.array(z.number().nullable()).nullable(),
});

interface CallOptions {
	method: 'GET' | 'POST' | 'PUT';
	path: string;
	body?: string | Uint8Array<ArrayBuffer>;
	deadlineMs?: number;
}

/**
 * The edge over its /internal door.
 * @param options.url of the price Worker, without a path.
 * @param options.token gives a token of role service.
 */
export function createEdgeClient({ url, token }: { url: string; token: () => Promise<string> }): Edge {
	/** The answer's bytes; null for a 404. */
	const callBytes = async ({ method, path, body, deadlineMs = limits.edge_call_ms }: CallOptions): Promise<Uint8Array | null> => {
		let response: Response;
		let bytes: Uint8Array;
		try {
			response = await fetch(`${url}/internal/${path}`, {
				method,
				headers: {
					authorization: `Bearer ${await token()}`,
					traceparent: traceparent(),
					...(body === undefined ? {} : { 'content-type': typeof body === 'string' ? 'application/json' : 'application/octet-stream' }),
				},
				...(body === undefined ? {} : { body }),
				signal: AbortSignal.timeout(deadlineMs),
				redirect: 'error',
			});
			bytes = new Uint8Array(await response.arrayBuffer()); // read in any case, so that the connection can be used again
		} catch (cause) {
			throw new UnavailableError('The edge does not answer.', { cause });
		}
		if (response.status === 404) return null;
		if (!response.ok)
			throw new UnavailableError(`The edge answers with status ${response.status}.`, { cause: `${method} ${path}: ${decoder.decode(bytes.subarray(0, 500))}` });
		return bytes;
	};

	const call = async (options: CallOptions): Promise<string | null> => {
		const answer = await callBytes(options);
		return answer && decoder.decode(answer);
	};

	const read = async <S extends z.ZodType>(schema: S, options: CallOptions): Promise<z.output<S> | null> => {
		const text = await call(options);
		if (text === null) return null;
		let value: unknown;
		try {
			value = JSON.parse(text);
		} catch (cause) {
			throw new UnavailableError('The edge does not answer with JSON.', { cause });
		}
		const parsed = schema.safeParse(value);
		if (!parsed.success) throw new UnavailableError('The edge answers in another shape than this version knows.', { cause: parsed.error });
		return parsed.data;
	};

	const wanted = <T>(answer: T | null, what: string): T => {
		if (answer === null) throw new UnavailableError(`The edge has no ${what}.`);
		return answer;
	};

	return {
		async pushRelease(request) {
			// A shard may take limits.release_push_ms to load models, and one that hangs holds the answer of all: hence the later deadline.
			const options = { method: 'POST', path: 'releases', body: JSON.stringify(request), deadlineMs: limits.release_push_late_ms } as const;
			return wanted(await read(releasesAnswer, options), 'call for releases');
		},
		async pushEntries(request) {
			wanted(await call({ method: 'POST', path: 'entries', body: JSON.stringify(request) }), `shard ${request.shard}`);
		},
		async shardState(shard) {
			return wanted(await read(shardState, { method: 'GET', path: `shards/${shard}` }), `shard ${shard}`);
		},
		regionFeatures: (regionId) => read(regionFeatures, { method: 'GET', path: `features/${regionId}` }),
		async putBody(key, text) {
			wanted(await call({ method: 'PUT', path: `kv/${key}`, body: text }), `key ${key}`);
		},
		getBody: (key) => call({ method: 'GET', path: `kv/${key}` }),
		async putBytes(key, bytes) {
			wanted(await call({ method: 'PUT', path: `kv/${key}`, body: new Uint8Array(bytes) }), `key ${key}`);
		},
		getBytes: (key) => callBytes({ method: 'GET', path: `kv/${key}` }),
		async tryModel(request) {
			const options = { method: 'POST', path: 'models', body: JSON.stringify(request), deadlineMs: limits.try_model_ms } as const;
			return wanted(await read(tryModelAnswer, options), 'call for models');
		},
	};
}
