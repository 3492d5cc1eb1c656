import type * as z from 'zod';
import {
	entriesRequest,
	type Frame,
	type FrameAnswer,
	framesRequest,
	type ReleasesAnswer,
	releasesRequest,
	type TryModelAnswer,
	type TryModelRequest,
	tryModelRequest,
} from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import { parse } from '#schemas/parse.ts';
import { partition } from '#schemas/partition.ts';
import { problem, type Refusal } from '#schemas/problem.ts';
import { traceIdOf } from '#schemas/trace.ts';
import { boundedBody, jsonBody } from '../json-body.ts';
import { objectStub } from '../object-stub.ts';
import { patience } from '../patience.ts';
import type { ShardEnvironment } from './environment.ts';
import { isService } from './is-service.ts';

const KV_KEY = /^(release|catalogue\/\d{1,5}|(rule-set|model|manifest)\/[0-9a-f]{64})$/;

class Refused extends Error {
	readonly refusal: Refusal;
	constructor(refusal: Refusal) {
		super(refusal.detail);
		this.refusal = refusal;
	}
}

async function body<S extends z.ZodType>(request: Request, schema: S): Promise<z.output<S>> {
	const read = await jsonBody(request, limits.internal_body_bytes_max);
	if (!read.ok) throw new Refused(read.refusal);
	const parsed = parse(schema, read.value);
	if (!parsed.ok) throw new Refused({ code: 'invalid', detail: 'The body does not fit the schema', errors: parsed.errors });
	return parsed.value;
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What an object or KV answers. @throws with the reason when it fails or does not answer in time. */
async function answered<T>(promise: Promise<T>): Promise<T> {
	const settled = await patience(
		promise.then(
			(value) => ({ value }),
			(error: unknown) => ({ error: reason(error) }),
		),
		limits.shard_call_ms,
	);
	if (!settled) throw new Error(`no answer within ${limits.shard_call_ms} ms`);
	if ('error' in settled) throw new Error(settled.error);
	return settled.value;
}

/** The same where the call has nobody else's answer to give: what is behind is down, so 503. */
const answeredAlone = <T>(promise: Promise<T>): Promise<T> =>
	answered(promise).catch((error: unknown) => {
		throw new Refused({ code: 'unavailable', detail: `What is behind the edge's door does not answer: ${reason(error)}` });
	});

/** /internal/*, role service: frames, releases and entries for the Shards, bodies for KV, and what the Shards hold. */
export async function internal(request: Request, env: ShardEnvironment): Promise<Response> {
	const traceId = traceIdOf(request.headers.get('traceparent')) ?? crypto.randomUUID().replaceAll('-', '');
	const refuse = (refusal: Refusal) => {
		const document = problem(refusal, traceId);
		const headers: Record<string, string> = { 'content-type': 'application/problem+json' };
		if (document.status === 503) headers['retry-after'] = String(limits.retry_after_seconds);
		return new Response(JSON.stringify(document), { status: document.status, headers });
	};
	try {
		if (!(await isService(request, env))) return refuse({ code: 'unauthenticated', detail: 'A token of role service is wanted' });
		return await route(request, env);
	} catch (error) {
		if (error instanceof Refused) return refuse(error.refusal);
		const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
		console.error(JSON.stringify({ message: 'internal door failed', trace_id: traceId, error: text }));
		return refuse({ code: 'internal', detail: 'Something went wrong here; the trace id helps to find it' });
	}
}

async function route(request: Request, env: ShardEnvironment): Promise<Response> {
	const { pathname } = new URL(request.url);
	const shards = Number(env.PARTITIONS);
	const shard = (n: number) => {
		if (!(Number.isInteger(n) && n >= 0 && n < shards)) throw new Refused({ code: 'not_found', detail: `There is no shard ${n} of ${shards}` });
		return objectStub(env.SHARD, `shard/${n}`, env);
	};
	const [, , call, ...rest] = pathname.split('/');
	switch (`${request.method} ${call}`) {
		case 'POST frames':
			return Response.json({ results: await pushFrames((await body(request, framesRequest)).frames, shard) });
		case 'POST releases': {
			const { pointer, bodies, shards: named } = await body(request, releasesRequest);
			const answer: ReleasesAnswer = { acknowledged: [], failed: [] };
			await Promise.all(
				[...new Set(named ?? Array.from({ length: shards }, (_, n) => n))].map(async (n) => {
					try {
						answer.acknowledged.push({ shard: n, release: await answered(shard(n).takeRelease(pointer, bodies)) });
					} catch (error) {
						answer.failed.push({ shard: n, error: reason(error) });
					}
				}),
			);
			return Response.json(answer);
		}
		case 'POST entries': {
			const { shard: n, entries } = await body(request, entriesRequest);
			const stub = shard(n);
			// An entry in the wrong shard would never be found again: the caller counts other partitions than this edge.
			const astray = entries.findIndex(({ region_id }) => partition(region_id, shards) !== n);
			if (astray >= 0) {
				const message = `belongs to shard ${partition(entries[astray]!.region_id, shards)} of ${shards}, not to ${n}`;
				throw new Refused({ code: 'invalid', detail: 'An entry is of another shard', errors: [{ path: `/entries/${astray}/region_id`, message }] });
			}
			await answeredAlone(stub.takeEntries(entries));
			return Response.json({ taken: entries.length });
		}
		case 'POST drain': // the price script does it; here the token was checked
			return Response.json({ draining: true });
		case 'POST models':
			return Response.json(await tryModel(await body(request, tryModelRequest)));
		case 'GET shards': {
			const n = /^\d+$/.test(rest[0] ?? '') ? Number(rest[0]) : Number.NaN;
			return Response.json(await answeredAlone(shard(n).state(n)));
		}
		case 'GET outboxes': {
			const n = /^\d+$/.test(rest[0] ?? '') ? Number(rest[0]) : Number.NaN;
			const name = rest[0]?.slice(0, limits.quoted_chars_max);
			if (!(n < limits.outboxes)) throw new Refused({ code: 'not_found', detail: `There is no outbox "${name}" of ${limits.outboxes}` });
			return Response.json(await answeredAlone(objectStub(env.OUTBOX, `outbox/${n}`, env).report()));
		}
		case 'GET features': {
			const regionId = rest[0] ?? '';
			const features = await answeredAlone(shard(partition(regionId, shards)).features(regionId));
			if (!features) throw new Refused({ code: 'unknown_region', detail: `The edge has no region "${regionId.slice(0, limits.quoted_chars_max)}"` });
			return Response.json(features);
		}
		case 'PUT kv':
		case 'GET kv': {
			const key = rest.join('/');
			if (!KV_KEY.test(key)) throw new Refused({ code: 'not_found', detail: 'There is no such key' });
			if (request.method === 'PUT') {
				const bytes = await boundedBody(request, limits.internal_body_bytes_max);
				if (!bytes) throw new Refused({ code: 'too_large', detail: `The body must not be over ${limits.internal_body_bytes_max} bytes` });
				await answeredAlone(env.RELEASES.put(key, bytes));
				return Response.json({ key });
			}
			const value = await answeredAlone(env.RELEASES.get(key, 'arrayBuffer'));
			if (!value) throw new Refused({ code: 'not_found', detail: `KV has no "${key}"` });
			return new Response(value, { headers: { 'content-type': 'application/octet-stream' } });
		}
		default:
			throw new Refused({ code: 'not_found', detail: 'There is no such call' });
	}
}

/** Frames of one shard follow one another; shards go side by side, and one that fails spoils nothing for the others. */
async function pushFrames(frames: readonly Frame[], shard: (n: number) => { takeFrame(frame: Frame): Promise<FrameAnswer> }): Promise<FrameAnswer[]> {
	const results = await Promise.all(
		[...Map.groupBy(frames, (frame) => frame.shard)].map(async ([n, own]) => {
			const answers: FrameAnswer[] = [];
			for (const frame of own) {
				try {
					answers.push(await answered(shard(n).takeFrame(frame)));
				} catch (error) {
					answers.push({ shard: n, taken: false, epoch: -1, seq: -1, whole_wanted: false, unknown: [], error: reason(error) });
				}
			}
			return answers;
		}),
	);
	return results.flat();
}

/** Runs a model that is in no release, once with all rows and once row by row: the registration's gate compares. */
async function tryModel({ model, rows }: TryModelRequest): Promise<TryModelAnswer> {
	try {
		const { openModel } = await import('./inference.ts');
		const session = await openModel(Uint8Array.from(atob(model), (c) => c.charCodeAt(0)));
		try {
			const numbers = (values: Float32Array | undefined) => Array.from(values ?? [], (value) => (Number.isFinite(value) ? value : null));
			const batch = await session.run(rows);
			const singles: Record<string, Float32Array>[] = [];
			for (const row of rows) singles.push(await session.run([row]));
			return {
				outputs: Object.fromEntries(
					session.outputs.map((name) => [name, { batch: numbers(batch[name]), single: singles.flatMap((run) => numbers(run[name])) }]),
				),
			};
		} finally {
			await session.close();
		}
	} catch (error) {
		return { error: reason(error).slice(0, limits.model_error_chars_max) };
	}
}
