import { edgeRoutes, forecastQuery } from '#schemas/edge-routes.ts';
import { limits } from '#schemas/limits.ts';
import { openapi } from '#schemas/openapi.ts';
import { type Parsed, parse } from '#schemas/parse.ts';
import { type PriceRequest, priceRequest, pricesRequest } from '#schemas/price.ts';
import { problem, type Refusal } from '#schemas/problem.ts';
import { mayCall } from '#schemas/role.ts';
import type { Route } from '#schemas/route.ts';
import { traceIdOf } from '#schemas/trace.ts';
import { jsonBody } from '../json-body.ts';
import type { OutboxStanding } from '../shard/outbox.ts';
import { answerForecast } from './answer-forecast.ts';
import { answerPrice, answerPrices } from './answer-prices.ts';
import { authenticate, type Caller, knownCaller } from './authenticate.ts';
import { askAgain, askForKeys, copiesHeld, releaseHeld, shardsHeard } from './copies.ts';
import { edgeBehind } from './edge-behind.ts';
import type { PriceEnvironment } from './environment.ts';
import { pointerFromKv } from './kv-copy.ts';
import { countRequest, metricsText } from './metrics.ts';
import { flushDecisions, outboxStandings } from './outbox-batch.ts';
import { rateLimit } from './rate-limit.ts';
import { validRequest } from './valid-request.ts';

/** One request on its way through the door. */
interface Call {
	request: Request;
	env: PriceEnvironment;
	ctx: ExecutionContext;
	traceId: string;
	/** '' where the route needs no token. */
	subject: string;
}
type Handler = (call: Call) => Response | Promise<Response>;

const json = (text: string): Response => new Response(text, { headers: { 'content-type': 'application/json' } });

function refuse({ traceId }: Pick<Call, 'traceId'>, refusal: Refusal, headers: Record<string, string> = {}): Response {
	const document = problem(refusal, traceId);
	const retry: Record<string, string> = document.status === 503 ? { 'retry-after': String(limits.retry_after_seconds) } : {};
	return new Response(JSON.stringify(document), { status: document.status, headers: { 'content-type': 'application/problem+json', ...retry, ...headers } });
}
const invalid = (errors: Refusal['errors']): Refusal => ({ code: 'invalid', detail: 'The request does not fit the schema', errors });

/** The refusal of a call that would pass its subject's limit, if one is set. */
function overLimit(call: Call, prices: number): Response | undefined {
	const limit = call.env.RATE_LIMIT_PRICES_PER_10S;
	if (!limit) return undefined;
	const wait = rateLimit(call.subject, { by: prices, per_10s: Number(limit) });
	if (wait === 0) return undefined;
	return refuse(call, { code: 'rate_limited', detail: `Over the limit of ${limit} prices in 10 seconds` }, { 'retry-after': String(wait) });
}

function parsePriceRequest(value: unknown): Parsed<PriceRequest> {
	const request = validRequest(value);
	return request ? { ok: true, value: request } : parse(priceRequest, value);
}

async function price(call: Call): Promise<Response> {
	const body = await jsonBody(call.request, limits.edge_body_bytes_max);
	if (!body.ok) return refuse(call, body.refusal);
	const request = parsePriceRequest(body.value);
	if (!request.ok) return refuse(call, invalid(request.errors));
	const over = overLimit(call, 1);
	if (over) return over;
	const answer = await answerPrice(request.value, call);
	return typeof answer === 'string' ? json(answer) : refuse(call, answer);
}

/** The batch without its items: what is wrong with one of them is its own affair, and must not cost the others their prices. */
function withoutItems(value: unknown): unknown {
	const isBatch = typeof value === 'object' && value !== null && 'requests' in value && Array.isArray(value.requests);
	return isBatch ? { ...value, requests: (value.requests as unknown[]).map(() => null) } : value;
}

async function prices(call: Call): Promise<Response> {
	const body = await jsonBody(call.request, limits.edge_body_bytes_max);
	if (!body.ok) return refuse(call, body.refusal);
	const batch = parse(pricesRequest, withoutItems(body.value));
	if (!batch.ok) return refuse(call, invalid(batch.errors));
	const { requests } = body.value as { requests: unknown[] };
	if (requests.length > limits.prices_batch_max)
		return refuse(call, { code: 'too_large', detail: `A batch must not have more than ${limits.prices_batch_max} requests, this one has ${requests.length}` });
	const over = overLimit(call, requests.length);
	if (over) return over;
	const parsed = requests.map(parsePriceRequest);
	const good = parsed.flatMap((request): PriceRequest[] => (request.ok ? [request.value] : []));
	const answers = (await answerPrices(good, call)).values();
	const results = parsed.map((request) => {
		const result = request.ok ? answers.next().value! : invalid(request.errors); // an answer for each good one, in order
		return typeof result === 'string' ? result : JSON.stringify(problem(result, call.traceId));
	});
	return json(`{"results":[${results.join(',')}]}`);
}

async function forecast(call: Call): Promise<Response> {
	const { url } = call.request; // with a Host header that is none it is no URL, so it is not parsed as one
	const at = url.indexOf('?');
	const query = parse(forecastQuery.loose(), Object.fromEntries(new URLSearchParams(at < 0 ? '' : url.slice(at))));
	if (!query.ok) return refuse(call, invalid(query.errors));
	const result = await answerForecast(query.value.region_id, call.env, call.ctx);
	return 'code' in result ? refuse(call, result) : json(JSON.stringify(result));
}

async function ready(call: Call): Promise<Response> {
	if (releaseHeld() === null) await askForKeys(call.env, call.ctx);
	const release = releaseHeld();
	if (release !== null) {
		await askAgain(call.env, call.ctx);
		const models = shardModels().map(([shard, { champion, canary, trouble }]) => ({ shard, champion, canary, trouble }));
		return json(JSON.stringify({ status: 'ready', release, models, behind: edgeBehind(Date.now()) }));
	}
	const fromKv = await pointerFromKv(call.env);
	if (fromKv) return json(JSON.stringify({ status: 'ready', release: fromKv.release, reason: 'no Shard answers; prices are tariffs from KV' }));
	return refuse(call, { code: 'unavailable', detail: 'No release is loaded: no Shard has one and neither has KV' });
}

/** What forecasts in each Shard, and what of the release does not: prices go on by the predecessor or by `pulse`. */
const shardModels = () => [...shardsHeard()].flatMap(([shard, { models }]) => (models ? [[shard, models] as const] : []));

/** A sum over the Outboxes, by what each last said of itself. */
const standings = (of: (standing: OutboxStanding) => number): number => [...outboxStandings().values()].reduce((sum, standing) => sum + of(standing), 0);

const metrics = () => {
	const behind = edgeBehind(Date.now());
	return new Response(
		metricsText({
			surgecast_edge_release: releaseHeld() ?? 0,
			surgecast_edge_copies: copiesHeld(),
			surgecast_edge_behind: behind.length,
			surgecast_edge_behind_seconds: Math.max(0, ...behind.map(({ seconds }) => seconds)),
			surgecast_edge_shards_with_model_trouble: shardModels().filter(([, { trouble }]) => trouble !== null).length,
			surgecast_edge_model_outputs_clamped: shardModels().reduce((sum, [, { clamped }]) => sum + clamped, 0),
			surgecast_edge_outbox_bytes: standings((standing) => standing.bytes),
			surgecast_edge_outbox_batches_refused: standings((standing) => standing.refused),
			surgecast_edge_outboxes_full: standings(({ taken }) => (taken ? 0 : 1)),
		}),
		{ headers: { 'content-type': 'text/plain; version=0.0.4' } },
	);
};

let document: string | undefined;
const describe = () => {
	document ??= JSON.stringify(openapi('surgecast edge', edgeRoutes));
	return json(document);
};

const handlers: Record<string, Handler> = {
	'POST /api/v1/price': price,
	'POST /api/v1/prices': prices,
	'GET /api/v1/forecast': forecast,
	'GET /healthz': () => json('{"status":"ok"}'),
	'GET /readyz': ready,
	'GET /metrics': metrics,
	'GET /openapi.json': describe,
};

/** Path -> method -> what it takes and does. The routes and their roles come from schemas/edge-routes.ts; none has a parameter. */
const table = new Map<string, Map<string, { route: Route; handler: Handler }>>();
for (const route of edgeRoutes as readonly Route[]) {
	const method = route.method.toUpperCase();
	const handler = handlers[`${method} ${route.path}`];
	if (!handler) throw new Error(`Cannot open the clients' door: ${method} ${route.path} has no handler`);
	const methods = table.get(route.path) ?? new Map();
	table.set(route.path, methods.set(method, { route, handler }));
}

/** The path of a request's URL, which is absolute and normal: a URL object costs more than the rest of the dispatch. */
function pathOf(url: string): string {
	const start = url.indexOf('/', url.indexOf('//') + 2);
	const query = url.indexOf('?', start);
	return query < 0 ? url.slice(start) : url.slice(start, query);
}

/** Why this caller may not come in, or undefined. */
function guarded(caller: Caller | 'refused' | 'no_keys', role: NonNullable<Route['role']>): { refusal: Refusal; headers?: Record<string, string> } | undefined {
	if (caller === 'refused')
		return {
			refusal: { code: 'unauthenticated', detail: 'A valid token is wanted: Authorization: Bearer <JWT>' },
			headers: { 'www-authenticate': 'Bearer' },
		};
	if (caller === 'no_keys') return { refusal: { code: 'unavailable', detail: 'The keys that check tokens are not here yet' } };
	if (!mayCall(caller.role, role))
		return { refusal: { code: 'forbidden', detail: `Role "${caller.role.slice(0, limits.quoted_chars_max)}" may not call this; ${role} is wanted` } };
	return undefined;
}

/** Said by whoever is about to stop this process: no more prices, so that no decision is lost with it. */
let draining = false;

async function dispatch(call: Call, path: string): Promise<Response> {
	const { request, env, ctx } = call;
	const methods = table.get(path);
	if (!methods) return refuse(call, { code: 'not_found', detail: 'There is no such call' });
	const isHead = request.method === 'HEAD';
	const found = methods.get(isHead ? 'GET' : request.method);
	if (!found) {
		const allow = [...methods.keys()].join(', ');
		return refuse(call, { code: 'method_not_allowed', detail: `${request.method} is not a method of ${path}; ${allow} is` }, { allow });
	}
	const { route, handler } = found;
	if (route.role !== null && draining) return refuse(call, { code: 'unavailable', detail: 'This edge is stopping' });
	if (route.role !== null) {
		const header = request.headers.get('authorization');
		const caller = knownCaller(header) ?? (await authenticate(header, env, ctx));
		const refused = guarded(caller, route.role);
		if (refused) return refuse(call, refused.refusal, refused.headers);
		call.subject = (caller as Caller).subject;
	}
	const response = await handler(call);
	return isHead ? new Response(null, response) : response;
}

/**
 * The clients' door, and the way to the shard script's. Nothing that comes in makes it throw; what is thrown all the same is a defect: logged under
 * the trace id, and a 500 that shows nothing of it.
 */
export const app = {
	async fetch(request: Request, env: PriceEnvironment, ctx: ExecutionContext): Promise<Response> {
		const path = pathOf(request.url);
		const call: Call = { request, env, ctx, traceId: traceIdOf(request.headers.get('traceparent')) ?? crypto.randomUUID().replaceAll('-', ''), subject: '' };
		// The shard script checks the token of role service itself.
		if (path.startsWith('/internal/')) {
			const answer = await env.INTERNAL.fetch(request).catch(() => refuse(call, { code: 'unavailable', detail: 'The script of the Shards does not answer' }));
			if (path === '/internal/drain' && answer.ok) {
				draining = true;
				await flushDecisions(env);
			}
			return answer;
		}
		let response: Response;
		try {
			response = await dispatch(call, path);
		} catch (error) {
			const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
			console.error(JSON.stringify({ message: 'request failed', trace_id: call.traceId, error: text }));
			response = refuse(call, { code: 'internal', detail: 'Something went wrong here; the trace id helps to find it' });
		}
		countRequest(table.has(path) ? path : 'other', response.status);
		return response;
	},
};
