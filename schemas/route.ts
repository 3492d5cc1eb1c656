import * as z from 'zod';
import type { ProblemCode } from './problem.ts';
import type { Role } from './role.ts';

/** One call of a door, as data: the router takes its role from here, the OpenAPI document everything, the tests both. */
export interface Route {
	method: 'get' | 'post' | 'put';
	/** With parameters in braces: /api/v1/regions/{region_id}. */
	path: string;
	/** The least role; null for the calls that need no token. */
	role: Role | null;
	summary: string;
	query?: z.ZodObject;
	body?: z.ZodType;
	/** Media types of the body; application/json when left out. */
	types?: readonly [string, ...string[]];
	/** By status. A string is a media type of its own (text/plain, text/html). */
	answers: Record<number, z.ZodType | string>;
	/** Refusals beside those that every call with a token or a body has. */
	problems?: ProblemCode[];
}

const status = (word: string) => z.looseObject({ status: z.literal(word) });

/** The four calls that every door has, without a token. */
export const commonRoutes: Route[] = [
	{ method: 'get', path: '/healthz', role: null, summary: 'The process lives', answers: { 200: status('ok') } },
	{
		method: 'get',
		path: '/readyz',
		role: null,
		summary: 'Ready to serve; 503 names the cause',
		answers: { 200: status('ready') },
		problems: ['unavailable'],
	},
	{ method: 'get', path: '/metrics', role: null, summary: 'Prometheus metrics', answers: { 200: 'text/plain' } },
	{ method: 'get', path: '/openapi.json', role: null, summary: 'This document', answers: { 200: z.looseObject({ openapi: z.string() }) } },
];
