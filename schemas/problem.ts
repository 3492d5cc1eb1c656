import * as z from 'zod';

/** Every refusal by its code: its HTTP status, its title, and what the caller should do about it. */
export const problems = {
	malformed_json: { status: 400, title: 'Malformed JSON', remedy: 'fix' },
	unauthenticated: { status: 401, title: 'Not authenticated', remedy: 'fix' },
	forbidden: { status: 403, title: 'Role not allowed', remedy: 'fix' },
	not_found: { status: 404, title: 'Not found', remedy: 'fix' },
	unknown_region: { status: 404, title: 'Unknown region', remedy: 'fix' },
	unknown_product: { status: 404, title: 'Unknown product', remedy: 'fix' },
	no_forecast: { status: 404, title: 'No forecast yet', remedy: 'later' },
	method_not_allowed: { status: 405, title: 'Method not allowed', remedy: 'fix' },
	conflict: { status: 409, title: 'Conflict', remedy: 'fix' },
	too_large: { status: 413, title: 'Too large', remedy: 'fix' },
	unsupported_media_type: { status: 415, title: 'Unsupported media type', remedy: 'fix' },
	invalid: { status: 422, title: 'Does not fit the schema', remedy: 'fix' },
	rate_limited: { status: 429, title: 'Too many requests', remedy: 'later' },
	internal: { status: 500, title: 'Internal error', remedy: 'report' },
	unavailable: { status: 503, title: 'Unavailable', remedy: 'later' },
} as const;

export type ProblemCode = keyof typeof problems;

export const fieldError = z.strictObject({
	path: z.string().describe('JSON Pointer; relative to the item in a batch'),
	message: z.string(),
	offset: z.int().nonnegative().optional().describe('position inside a condition'),
});
export type FieldError = z.infer<typeof fieldError>;

export const problemDocument = z.strictObject({
	type: z.string(),
	title: z.string(),
	status: z.int(),
	detail: z.string(),
	code: z.enum(Object.keys(problems) as [ProblemCode, ...ProblemCode[]]),
	trace_id: z.string(),
	errors: z.array(fieldError).optional(),
});
export type Problem = z.infer<typeof problemDocument>;

/** A refusal as data. `status` overrides the code's own where one code serves two (an unknown region is 422 in an event). */
export interface Refusal {
	code: ProblemCode;
	detail: string;
	errors?: FieldError[] | undefined;
	status?: number | undefined;
}

/** The problem+json body (RFC 9457) of a refusal. */
export function problem(refusal: Refusal, traceId: string): Problem {
	const { status, title } = problems[refusal.code];
	return {
		type: `urn:surgecast:problem:${refusal.code}`,
		title,
		status: refusal.status ?? status,
		detail: refusal.detail,
		code: refusal.code,
		trace_id: traceId,
		...(refusal.errors ? { errors: refusal.errors.slice(0, 100) } : {}),
	};
}
