// What the control plane's and the ingestion's door share. Nothing here knows what they are for: that is in their route tables and handlers.
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type Context, Hono } from 'hono';
import type * as z from 'zod';
import { limits } from '#schemas/limits.ts';
import { openapi } from '#schemas/openapi.ts';
import { parse } from '#schemas/parse.ts';
import { problem, type Refusal } from '#schemas/problem.ts';
import { mayCall } from '#schemas/role.ts';
import type { Route } from '#schemas/route.ts';
import { traceIdOf } from '#schemas/trace.ts';
import type { Authenticate, Caller } from './authenticate.ts';
import { errorText, logLine } from './log-line.ts';
import type { Metrics } from './metrics.ts';
import { readBody } from './read-body.ts';
import { withTrace } from './trace-context.ts';
import { unavailableIn } from './unavailable-error.ts';

type Parameters<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}` ? { [K in Name]: string } & Parameters<Rest> : unknown;

/** What a handler gets: everything in it is checked. */
export interface Call<R extends Route = Route> {
	traceId: string;
	method: string;
	/** The path as it was sent. */
	path: string;
	params: Parameters<R['path']>;
	query: R extends { query: infer Q extends z.ZodType } ? z.output<Q> : undefined;
	/** Parsed by the route's schema; undefined where the body is the handler's own business (`rawBodies`). */
	body: R extends { body: infer B extends z.ZodType } ? z.output<B> : undefined;
	/** The body's text, where there is one: valid UTF-8. */
	text: string;
	/** The parts of a multipart body; undefined where it is none. */
	form: FormData | undefined;
	/** The media type of the body, in lower case and without parameters. */
	contentType: string;
	/** Null on the calls that need no token. */
	caller: R extends { role: null } ? null : Caller;
}

export interface Answer {
	status: number;
	body: unknown;
	headers?: Record<string, string>;
}

/** A refusal; `retryAfterSeconds` goes with 429 and 503, where limits.retry_after_seconds is the default. */
export type Refused = Refusal & { retryAfterSeconds?: number };

/** A refusal is data: exceptions are for bugs (500) and for `UnavailableError` (503). */
export type Reply = Answer | Refused | Response;

export type Handler<R extends Route = Route> = (call: Call<R>) => Reply | Promise<Reply>;

export type RouteKey<R extends Route> = `${Uppercase<R['method']>} ${R['path']}`;

/** A handler for each route of the table, by `METHOD path`, except the four that every door has. */
export type Handlers<Routes extends readonly Route[]> = {
	[R in Routes[number] as string extends R['path'] ? never : RouteKey<R>]: Handler<R>;
};

/** Null when ready to serve, else the cause in words. */
export type Readiness = () => string | null | Promise<string | null>;

/** Under Node the request's own stream comes along; in `app.request()` there is none. */
interface DoorEnv {
	Bindings: { incoming?: IncomingMessage };
}

export type DoorApp = Hono<DoorEnv>;

interface DoorOptions<Routes extends readonly Route[]> {
	title: string;
	routes: Routes;
	handlers: NoInfer<Handlers<Routes>>;
	authenticate: Authenticate;
	metrics: Metrics;
	readiness: Readiness;
	/** What lags or fails behind the door while it can do its own work: part of the 200 of /readyz. */
	behind?: (() => readonly unknown[]) | undefined;
	/** Routes whose handler judges the body's text itself, by `METHOD path`; the door has checked its size, type and UTF-8. */
	rawBodies?: readonly string[];
	/** Calls between our own processes: role service, bodies up to limits.internal_body_bytes_max, not in the public document. */
	internal?: { routes: readonly Route[]; handlers: Record<string, Handler> };
}

type Judged = { ok: true; value: unknown } | { ok: false; refusal: Refused };

/** JSON text as a value, or the refusal (400). */
export function parseJson(text: string): Judged {
	try {
		return { ok: true, value: JSON.parse(text) as unknown };
	} catch {
		return { ok: false, refusal: { code: 'malformed_json', detail: 'The body is not JSON.' } };
	}
}

const refuseInvalid = (detail: string, errors: Refusal['errors']): Refused => ({ code: 'invalid', detail, errors });

const isRefused = (reply: Answer | Refused): reply is Refused => 'code' in reply;

const security = { 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' };

/** A refusal as problem+json, with Retry-After where the caller should come again. */
export function problemResponse(refused: Refused, traceId: string, headers: Record<string, string> = {}): Response {
	const document = problem(refused, traceId);
	const again = document.status === 429 || document.status === 503 ? { 'retry-after': String(refused.retryAfterSeconds ?? limits.retry_after_seconds) } : {};
	return new Response(JSON.stringify(document), {
		status: document.status,
		headers: { 'content-type': 'application/problem+json', ...security, ...again, ...headers },
	});
}

function respond(reply: Reply, traceId: string): Response {
	if (reply instanceof Response) return reply;
	if (isRefused(reply)) return problemResponse(reply, traceId);
	return new Response(JSON.stringify(reply.body), { status: reply.status, headers: { 'content-type': 'application/json', ...security, ...reply.headers } });
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decode(bytes: Uint8Array): string | null {
	try {
		return utf8.decode(bytes);
	} catch {
		return null;
	}
}

const mediaType = (header: string | undefined): string => (header ?? '').split(';')[0]!.trim().toLowerCase();

interface BodyOptions {
	route: Route;
	raw: boolean;
	bytesMax: number;
}

type JudgedBody = { ok: true; body: unknown; text: string; contentType: string; form?: FormData } | { ok: false; refusal: Refused };

/** The body in this order: encoding and type (415), size (413), UTF-8 and JSON (400), schema (422). */
async function judgeBody(c: Context<DoorEnv>, { route, raw, bytesMax }: BodyOptions): Promise<JudgedBody> {
	if (!route.body) return { ok: true, body: undefined, text: '', contentType: '' }; // whatever was sent is left unread
	const encoding = c.req.header('content-encoding');
	if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
		return { ok: false, refusal: { code: 'unsupported_media_type', detail: 'The body must not be compressed.' } };
	const contentType = mediaType(c.req.header('content-type'));
	const types = route.types ?? ['application/json'];
	if (!types.includes(contentType))
		return { ok: false, refusal: { code: 'unsupported_media_type', detail: `The content type must be ${types.join(' or ')}.` } };
	const bytes = await readBody(c.req.raw, { incoming: c.env?.incoming, bytesMax });
	if (bytes === 'broken_off') return { ok: false, refusal: { code: 'malformed_json', detail: 'The body broke off.' } };
	if (bytes === 'too_large') return { ok: false, refusal: { code: 'too_large', detail: `The body must not be over ${bytesMax} bytes.` } };
	if (contentType === 'multipart/form-data') {
		try {
			const form = await new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { 'content-type': c.req.header('content-type') ?? '' } }).formData();
			return { ok: true, body: undefined, text: '', contentType, form };
		} catch {
			return {
				ok: false,
				refusal: refuseInvalid('The body is not multipart/form-data as its header says.', [{ path: '', message: 'is not multipart/form-data' }]),
			};
		}
	}
	const text = decode(bytes);
	if (text === null) return { ok: false, refusal: { code: 'malformed_json', detail: 'The body is not UTF-8.' } };
	if (raw) return { ok: true, body: undefined, text, contentType };
	const json = parseJson(text);
	if (!json.ok) return json;
	const parsed = parse(route.body, json.value);
	if (!parsed.ok) return { ok: false, refusal: refuseInvalid('The body does not fit the schema; see errors.', parsed.errors) };
	return { ok: true, body: parsed.value, text, contentType };
}

/** The query parameters that the route knows; others are ignored, and of one given twice the last counts. */
function judgeQuery(route: Route, url: string): Judged {
	if (!route.query) return { ok: true, value: undefined };
	const given = new URL(url).searchParams;
	const known: Record<string, string> = {};
	for (const name of Object.keys(route.query.shape)) {
		const value = given.getAll(name).at(-1);
		if (value !== undefined) known[name] = value;
	}
	const parsed = parse(route.query, known);
	return parsed.ok ? { ok: true, value: parsed.value } : { ok: false, refusal: refuseInvalid('The query does not fit the schema; see errors.', parsed.errors) };
}

/**
 * A door as a Hono app, testable with `app.request()`. Every call is registered from a route of the table, so a call without a declared role cannot
 * exist. The order of refusals: 404, 405, 401, 403, then the query, then the body. A defect answers 500 without any detail and logs one line.
 * @throws when a route has no handler.
 */
export function createDoor<const Routes extends readonly Route[]>(options: DoorOptions<Routes>): DoorApp {
	const { title, routes, authenticate, metrics, readiness, behind, rawBodies = [], internal } = options;
	const app: DoorApp = new Hono<DoorEnv>();

	/** Answers whatever happens, and counts it. */
	const answer = async (c: Context<DoorEnv>, route: string, make: (traceId: string) => Reply | Promise<Reply>): Promise<Response> => {
		const started = performance.now();
		const traceId = traceIdOf(c.req.header('traceparent')) ?? randomBytes(16).toString('hex');
		let response: Response;
		try {
			response = respond(await withTrace(traceId, () => make(traceId)), traceId);
		} catch (error) {
			const unavailable = unavailableIn(error);
			if (unavailable) response = problemResponse({ code: 'unavailable', detail: unavailable.message }, traceId);
			else {
				logLine('error', { what: 'A call failed', door: title, route, trace_id: traceId, error: errorText(error) });
				response = problemResponse({ code: 'internal', detail: 'This is our mistake, and it is logged under the trace id.' }, traceId);
			}
		}
		metrics.observe({ method: c.req.method, route, status: response.status, seconds: (performance.now() - started) / 1000 });
		return response;
	};

	const common: Record<string, () => Reply | Promise<Reply>> = {
		'GET /healthz': () => ({ status: 200, body: { status: 'ok' } }),
		'GET /readyz': async () => {
			const cause = await readiness();
			return cause === null ? { status: 200, body: { status: 'ready', ...(behind && { behind: behind() }) } } : { code: 'unavailable', detail: cause };
		},
		'GET /metrics': async () => new Response(await metrics.registry.metrics(), { headers: { 'content-type': metrics.registry.contentType, ...security } }),
		'GET /openapi.json': () => ({ status: 200, body: openapi(title, routes) }),
	};

	const table = [...routes, ...(internal?.routes ?? [])];
	const handlers = { ...options.handlers, ...internal?.handlers, ...common } as Record<string, Handler>;
	const methods = new Map<string, string[]>();
	for (const route of table) {
		const method = route.method.toUpperCase();
		const key = `${method} ${route.path}`;
		const handler = handlers[key];
		if (!handler) throw new Error(`Cannot open the door "${title}": route "${key}" has no handler`);
		methods.set(route.path, [...(methods.get(route.path) ?? []), method]);
		const bodyOptions = {
			route,
			raw: rawBodies.includes(key),
			bytesMax:
				route.role === 'service'
					? limits.internal_body_bytes_max
					: route.types?.includes('multipart/form-data')
						? limits.model_body_bytes_max
						: limits.body_bytes_max,
		};
		app.on(method, route.path.replaceAll(/\{(\w+)\}/g, ':$1'), (c) =>
			answer(c, route.path, async (traceId) => {
				let caller: Caller | null = null;
				if (route.role !== null) {
					caller = await authenticate(c.req.header('authorization'));
					if (!caller) return { code: 'unauthenticated', detail: 'A valid bearer token is wanted.' };
					if (!mayCall(caller.role, route.role))
						return { code: 'forbidden', detail: `Role ${JSON.stringify(caller.role.slice(0, 40))} may not make this call; wanted is ${route.role}.` };
				}
				const query = judgeQuery(route, c.req.url);
				if (!query.ok) return query.refusal;
				const body = await judgeBody(c, bodyOptions);
				if (!body.ok) return body.refusal;
				const { text, contentType, form } = body;
				const call = { traceId, method, path: c.req.path, params: c.req.param(), query: query.value, body: body.body, text, contentType, form, caller };
				return handler(call as Call); // the table's schemas made it what its type says
			}),
		);
	}
	for (const [path, allowed] of methods) {
		const allow = [...allowed, ...(allowed.includes('GET') ? ['HEAD'] : [])].join(', ');
		app.all(path.replaceAll(/\{(\w+)\}/g, ':$1'), (c) =>
			answer(c, path, (traceId) => problemResponse({ code: 'method_not_allowed', detail: `This path takes ${allow}.` }, traceId, { allow })),
		);
	}
	app.notFound((c) => answer(c, 'unmatched', () => ({ code: 'not_found', detail: 'There is nothing at this path.' })));
	app.onError((error, c) =>
		answer(c, 'unmatched', () => {
			throw error;
		}),
	);
	return app;
}
