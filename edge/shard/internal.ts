import type * as z from 'zod';
import { entriesRequest, type FrameAnswer, framesRequest, type ReleasesAnswer, releasesRequest } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { parse } from '#schemas/parse.ts';
import { partition } from '#schemas/partition.ts';
import { type Problem, problem, type Refusal } from '#schemas/problem.ts';
import { traceIdOf } from '#schemas/trace.ts';
import type { ShardEnvironment } from './environment.ts';
import { isService } from './service-key.ts';

const KV_KEY = /^(release|catalogue\/\d{1,5}|rule-set\/[0-9a-f]{64}|model\/[0-9a-f]{64})$/;

class Refused extends Error {
	readonly refusal: Refusal;
	constructor(refusal: Refusal) {
		super(refusal.detail);
		this.refusal = refusal;
	}
}

async function body<S extends z.ZodType>(request: Request, schema: S): Promise<z.output<S>> {
	const text = await request.text();
	if (text.length > limits.internal_body_bytes_max)
		throw new Refused({ code: 'too_large', detail: `The body must not be over ${limits.internal_body_bytes_max} bytes` });
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		throw new Refused({ code: 'malformed_json', detail: 'The body is not JSON' });
	}
	const parsed = parse(schema, value);
	if (!parsed.ok) throw new Refused({ code: 'invalid', detail: 'The body does not fit the schema', errors: parsed.errors });
	return parsed.value;
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** /internal/*, role service: frames, releases and entries for the Shards, bodies for KV, and what the Shards hold. */
export async function internal(request: Request, env: ShardEnvironment): Promise<Response> {
	const traceId = traceIdOf(request.headers.get('traceparent')) ?? crypto.randomUUID().replaceAll('-', '');
	const refuse = (refusal: Refusal) => {
		const document: Problem = problem(refusal, traceId);
		return new Response(JSON.stringify(document), { status: document.status, headers: { 'content-type': 'application/problem+json' } });
	};
	if (!(await isService(request, env))) return refuse({ code: 'unauthenticated', detail: 'A token of role service is wanted' });
	try {
		return await route(request, env);
	} catch (error) {
		if (error instanceof Refused) return refuse(error.refusal);
		throw error;
	}
}

async function route(request: Request, env: ShardEnvironment): Promise<Response> {
	const { pathname } = new URL(request.url);
	const shards = Number(env.PARTITIONS);
	const shard = (n: number) => {
		if (!(Number.isInteger(n) && n >= 0 && n < shards)) throw new Refused({ code: 'not_found', detail: `There is no shard ${n} of ${shards}` });
		return env.SHARD.getByName(`shard/${n}`);
	};
	const [, , call, ...rest] = pathname.split('/');
	switch (`${request.method} ${call}`) {
		case 'POST frames': {
			const { frames } = await body(request, framesRequest);
			// Frames of one shard follow one another; shards go side by side.
			const byShard = Map.groupBy(frames, (frame) => frame.shard);
			const results = await Promise.all(
				[...byShard].map(async ([n, own]) => {
					const answers: FrameAnswer[] = [];
					for (const frame of own) {
						try {
							answers.push(await shard(n).takeFrame(frame));
						} catch (error) {
							answers.push({ shard: n, taken: false, epoch: -1, seq: -1, whole_wanted: false, unknown: [], error: reason(error) });
						}
					}
					return answers;
				}),
			);
			return Response.json({ results: results.flat() });
		}
		case 'POST releases': {
			const { pointer, bodies, shards: named } = await body(request, releasesRequest);
			const answer: ReleasesAnswer = { acknowledged: [], failed: [] };
			await Promise.all(
				(named ?? Array.from({ length: shards }, (_, n) => n)).map(async (n) => {
					try {
						answer.acknowledged.push({ shard: n, release: await shard(n).takeRelease(pointer, bodies) });
					} catch (error) {
						answer.failed.push({ shard: n, error: reason(error) });
					}
				}),
			);
			return Response.json(answer);
		}
		case 'POST entries': {
			const { shard: n, entries } = await body(request, entriesRequest);
			await shard(n).takeEntries(entries);
			return Response.json({ taken: entries.length });
		}
		case 'GET shards':
			return Response.json(await shard(Number(rest[0])).state(Number(rest[0])));
		case 'GET features': {
			const regionId = rest[0] ?? '';
			const features = await shard(partition(regionId, shards)).features(regionId);
			if (!features) throw new Refused({ code: 'unknown_region', detail: `The edge has no region "${regionId}"` });
			return Response.json(features);
		}
		case 'PUT kv':
		case 'GET kv': {
			const key = rest.join('/');
			if (!KV_KEY.test(key)) throw new Refused({ code: 'not_found', detail: 'There is no such key' });
			if (request.method === 'PUT') {
				await env.RELEASES.put(key, await request.arrayBuffer());
				return Response.json({ key });
			}
			const value = await env.RELEASES.get(key, 'arrayBuffer');
			if (!value) throw new Refused({ code: 'not_found', detail: `KV has no "${key}"` });
			return new Response(value, { headers: { 'content-type': 'application/octet-stream' } });
		}
		default:
			throw new Refused({ code: 'not_found', detail: 'There is no such call' });
	}
}
