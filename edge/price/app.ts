import { type Context, Hono } from 'hono';
import { edgeRoutes, forecastQuery } from '#schemas/edge-routes.ts';
import { limits } from '#schemas/limits.ts';
import { openapi } from '#schemas/openapi.ts';
import { parse } from '#schemas/parse.ts';
import { type PriceRequest, priceRequest, pricesRequest } from '#schemas/price.ts';
import { problem, type Refusal } from '#schemas/problem.ts';
import { mayCall } from '#schemas/role.ts';
import { traceIdOf } from '#schemas/trace.ts';
import { answerForecast } from './answer-forecast.ts';
import { answerPrices } from './answer-prices.ts';
import { authenticate, type Caller } from './authenticate.ts';
import { jsonBody } from './body.ts';
import { askForKeys, copiesHeld, releaseHeld } from './copies.ts';
import type { PriceEnvironment } from './environment.ts';
import { pointerFromKv } from './kv-copy.ts';
import { count, metricsText } from './metrics.ts';
import { rateLimit } from './rate-limit.ts';

type Door = { Bindings: PriceEnvironment; Variables: { traceId: string; caller: Caller } };

const JSON_TYPE = { 'content-type': 'application/json' };

function refuse(c: Context<Door>, refusal: Refusal, retryAfterSeconds: number = limits.retry_after_seconds): Response {
	const document = problem(refusal, c.get('traceId'));
	const headers: Record<string, string> = { 'content-type': 'application/problem+json' };
	if (document.status === 429 || document.status === 503) headers['retry-after'] = String(retryAfterSeconds);
	if (document.status === 401) headers['www-authenticate'] = 'Bearer';
	return new Response(JSON.stringify(document), { status: document.status, headers });
}

const isRefusal = (result: object): result is Refusal => 'code' in result;
const invalid = (errors: Refusal['errors']): Refusal => ({ code: 'invalid', detail: 'The request does not fit the schema', errors });

/** The clients' door. The routes and their roles come from schemas/edge-routes.ts. */
export const app = new Hono<Door>();

app.use(async (c, next) => {
	c.set('traceId', traceIdOf(c.req.raw.headers.get('traceparent')) ?? crypto.randomUUID().replaceAll('-', ''));
	await next();
	count(
		'surgecast_edge_requests_total',
		`route="${c.req.path.startsWith('/api/') || c.res.status < 400 ? c.req.path.slice(0, 32).replaceAll(/["\\\n]/g, '') : 'other'}",status="${c.res.status}"`,
	);
});

/** The shard script's door: it checks the token of role service itself. */
app.all('/internal/*', (c) => c.env.INTERNAL.fetch(c.req.raw));

for (const route of edgeRoutes) {
	if (route.role === null) continue;
	const { method, path, role } = route;
	app.on(method.toUpperCase(), path, async (c, next) => {
		const caller = await authenticate(c.req.raw.headers.get('authorization'), c.env, c.executionCtx as ExecutionContext);
		if (caller === 'refused') return refuse(c, { code: 'unauthenticated', detail: 'A valid token is wanted: Authorization: Bearer <JWT>' });
		if (caller === 'no_keys') return refuse(c, { code: 'unavailable', detail: 'The keys that check tokens are not here yet' });
		if (!mayCall(caller.role, role)) return refuse(c, { code: 'forbidden', detail: `Role "${caller.role.slice(0, 32)}" may not call this; ${role} is wanted` });
		c.set('caller', caller);
		return next();
	});
}

/** Seconds to wait when the caller's limit is used up, else 0. */
function limited(c: Context<Door>, prices: number): number {
	const limit = Number(c.env.RATE_LIMIT_PRICES_PER_10S ?? 0);
	return limit > 0 ? rateLimit(c.get('caller').subject, { by: prices, per_10s: limit }) : 0;
}
const tooMany = (c: Context<Door>, wait: number) =>
	refuse(c, { code: 'rate_limited', detail: `Over the limit of ${c.env.RATE_LIMIT_PRICES_PER_10S} prices in 10 seconds` }, wait);

app.post('/api/v1/price', async (c) => {
	const body = await jsonBody(c.req.raw);
	if (!body.ok) return refuse(c, body.refusal);
	const request = parse(priceRequest, body.value);
	if (!request.ok) return refuse(c, invalid(request.errors));
	const wait = limited(c, 1);
	if (wait > 0) return tooMany(c, wait);
	const [result] = await answerPrices([request.value], { traceId: c.get('traceId'), env: c.env, ctx: c.executionCtx as ExecutionContext });
	if (!result || isRefusal(result)) return refuse(c, result ?? { code: 'internal', detail: 'No result' });
	return new Response(JSON.stringify(result), { headers: JSON_TYPE });
});

app.post('/api/v1/prices', async (c) => {
	const body = await jsonBody(c.req.raw);
	if (!body.ok) return refuse(c, body.refusal);
	const batch = parse(pricesRequest, body.value);
	if (!batch.ok) return refuse(c, invalid(batch.errors));
	const { requests } = batch.value;
	if (requests.length > limits.prices_batch_max)
		return refuse(c, { code: 'too_large', detail: `A batch must not have more than ${limits.prices_batch_max} requests, this one has ${requests.length}` });
	const wait = limited(c, requests.length);
	if (wait > 0) return tooMany(c, wait);
	const parsed = requests.map((request) => parse(priceRequest, request));
	const good = parsed.flatMap((request): PriceRequest[] => (request.ok ? [request.value] : []));
	const answers = await answerPrices(good, { traceId: c.get('traceId'), env: c.env, ctx: c.executionCtx as ExecutionContext });
	let next = 0;
	const results = parsed.map((request) => {
		const result = request.ok ? answers[next++] : invalid(request.errors);
		return result && !isRefusal(result) ? result : problem(result ?? { code: 'internal', detail: 'No result' }, c.get('traceId'));
	});
	return new Response(JSON.stringify({ results }), { headers: JSON_TYPE });
});

app.get('/api/v1/forecast', async (c) => {
	const query = parse(forecastQuery.loose(), c.req.query());
	if (!query.ok) return refuse(c, invalid(query.errors));
	const result = await answerForecast(query.value.region_id, c.env, c.executionCtx as ExecutionContext);
	return isRefusal(result) ? refuse(c, result) : new Response(JSON.stringify(result), { headers: JSON_TYPE });
});

app.get('/healthz', () => new Response('{"status":"ok"}', { headers: JSON_TYPE }));

app.get('/readyz', async (c) => {
	if (releaseHeld() === null) await askForKeys(c.env, c.executionCtx as ExecutionContext);
	const release = releaseHeld();
	if (release !== null) return new Response(JSON.stringify({ status: 'ready', release }), { headers: JSON_TYPE });
	if (await pointerFromKv(c.env))
		return new Response(JSON.stringify({ status: 'ready', release: null, reason: 'no Shard answers; prices are tariffs from KV' }), { headers: JSON_TYPE });
	return refuse(c, { code: 'unavailable', detail: 'No release is loaded: no Shard has one and neither has KV' });
});

app.get(
	'/metrics',
	() =>
		new Response(metricsText({ surgecast_edge_release: releaseHeld() ?? 0, surgecast_edge_copies: copiesHeld() }), {
			headers: { 'content-type': 'text/plain; version=0.0.4' },
		}),
);

let document: string | undefined;
app.get('/openapi.json', () => {
	document ??= JSON.stringify(openapi('surgecast edge', edgeRoutes));
	return new Response(document, { headers: JSON_TYPE });
});

for (const path of new Set(edgeRoutes.map((route) => route.path))) {
	const allowed = edgeRoutes.filter((route) => route.path === path).map((route) => route.method.toUpperCase());
	app.all(path, (c) => {
		const response = refuse(c, { code: 'method_not_allowed', detail: `${c.req.method} is not a method of ${path}; ${allowed.join(', ')} is` });
		response.headers.set('allow', allowed.join(', '));
		return response;
	});
}

app.notFound((c) => refuse(c, { code: 'not_found', detail: 'There is no such call' }));

app.onError((error, c) => {
	console.error(JSON.stringify({ message: 'request failed', trace_id: c.get('traceId'), error: error.stack ?? error.message }));
	return refuse(c, { code: 'internal', detail: 'Something went wrong here; the trace id helps to find it' });
});
