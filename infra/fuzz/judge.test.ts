import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { openapi } from '#schemas/openapi.ts';
import { problem } from '#schemas/problem.ts';
import { createJudge } from './judge.ts';
import type { OpenApi } from './operation.ts';

const document = openapi('test', [
	{ method: 'get', path: '/things/{id}', role: 'viewer', summary: 'x', answers: { 200: z.strictObject({ size: z.int() }) }, problems: ['not_found'] },
	{ method: 'get', path: '/things/all', role: 'viewer', summary: 'x', answers: { 200: z.array(z.int()) } },
	{ method: 'get', path: '/page', role: null, summary: 'x', answers: { 200: 'text/html' } },
]) as OpenApi;
const judge = createJudge('edge', document);
const get = (target: string, more: { method?: string; breaksHttp?: boolean } = {}) => ({ method: 'GET', target, breaksHttp: false, ...more });
const json = (status: number, body: unknown) => ({ status, headers: { 'content-type': 'application/json' }, text: JSON.stringify(body) });
const refusal = (code: Parameters<typeof problem>[0]['code'], { detail = 'x', headers = {} }: { detail?: string; headers?: Record<string, string> } = {}) => {
	const body = problem({ code, detail }, 'a'.repeat(32));
	return { status: body.status, headers: { 'content-type': 'application/problem+json', ...headers }, text: JSON.stringify(body) };
};

describe('createJudge() has nothing to say about', () => {
	it.each([
		['an answer of its schema', get('/things/1'), json(200, { size: 1 })],
		['the schema of the path that fits best', get('/things/all'), json(200, [1])],
		['a declared refusal', get('/things/1'), refusal('not_found')],
		['a 503 that says when to come again', get('/things/1'), refusal('unavailable', { headers: { 'retry-after': '1' } })],
		['another media type as declared', get('/page'), { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, text: '<p>' }],
		['a 404 where nothing is', get('/nothing'), refusal('not_found')],
		['a 405 of another method', get('/things/1', { method: 'PATCH' }), refusal('method_not_allowed')],
		['a target that leads elsewhere', get('/things/x/../all'), json(200, [1])],
		['an encoded path that a door does not decode', get('/p%61ge'), refusal('not_found')],
		['what the HTTP parser refuses', get('/page', { breaksHttp: true }), { status: 431, headers: {}, text: '' }],
		['what the HTTP parser cuts', get('/page', { breaksHttp: true }), new Error('reset')],
		['an answer to HEAD', get('/things/1', { method: 'HEAD' }), { status: 401, headers: {}, text: '' }],
	])('%s', (_, request, answer) => expect(judge(request, answer)).toEqual([]));
});

describe('createJudge() finds', () => {
	it.each<[string, ReturnType<typeof get>, Parameters<typeof judge>[1], RegExp]>([
		['a 500', get('/things/1'), refusal('internal'), /is a 500/],
		['a 503 without Retry-After', get('/things/1'), refusal('unavailable'), /Retry-After/],
		['a stack', get('/things/1'), refusal('not_found', { detail: 'Error: x\n    at run (app.ts:3:4)' }), /shows the inside/],
		['a path of this machine', get('/things/1'), refusal('not_found', { detail: `no ${process.cwd()}/x` }), /shows the inside/],
		['a query', get('/things/1'), refusal('not_found', { detail: 'failed: select "a" from "b" where 1' }), /shows the inside/],
		['a body that breaks its schema', get('/things/1'), json(200, { size: 'big' }), /breaks its schema at "\/size"/],
		['a field too many', get('/things/1'), json(200, { size: 1, more: 1 }), /breaks its schema/],
		['a body that is no JSON', get('/things/1'), { ...json(200, 0), text: '{' }, /breaks its schema/],
		['the schema of another path', get('/things/all'), json(200, { size: 1 }), /breaks its schema/],
		['a status that is not declared', get('/things/1'), refusal('conflict'), /status 409, which GET \/things\/\{id\} does not declare/],
		['a media type that is not declared', get('/page'), json(200, {}), /type "application\/json" under status 200/],
		['a refusal that is no problem', get('/things/1'), json(404, { error: 'x' }), /refusal of type/],
		['a problem of another status', get('/things/1'), { ...refusal('forbidden'), status: 404 }, /says status 403 inside/],
		['an answer where nothing is', get('/nothing'), json(200, {}), /wanted is 404/],
		['an answer to a method that is not there', get('/page', { method: 'TRACE' }), json(200, {}), /wanted is 405/],
		['a 404 for a call that is there', get('/page'), refusal('not_found'), /does not declare/],
		['a body of a HEAD', get('/page', { method: 'HEAD' }), json(200, {}), /has a body/],
		['a connection that was cut', get('/page'), new Error('socket hang up'), /did not come: socket hang up/],
		['a 431 of headers that are not long', get('/page'), { status: 431, headers: {}, text: '' }, /refusal of type/],
	])('%s', (_, request, answer, finding) => expect(judge(request, answer).join('\n')).toMatch(finding));
});
