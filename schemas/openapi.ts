import * as z from 'zod';
import { problemDocument, problems } from './problem.ts';
import type { Route } from './route.ts';

const NDJSON = 'application/x-ndjson';

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): object {
	const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
	return rest;
}

/** An answer that is no JSON is known by its media type alone. */
const answerContent = (answer: z.ZodType | string) =>
	typeof answer === 'string' ? { [answer]: { schema: { type: 'string' } } } : { 'application/json': { schema: jsonSchema(answer, 'output') } };

/** Lines are JSON each; a schema could only call them a text. */
const bodyContent = (body: z.ZodType, types: readonly string[]) =>
	Object.fromEntries(types.map((type) => [type, { schema: type === NDJSON ? { type: 'string' } : jsonSchema(body, 'input') }]));

/** The OpenAPI 3.1 document of a door, from its routes. */
export function openapi(title: string, routes: readonly Route[]): object {
	const paths: Record<string, Record<string, unknown>> = {};
	for (const route of routes) {
		const codes = new Set(route.problems ?? []);
		if (route.role) for (const code of ['unauthenticated', 'forbidden', 'unavailable'] as const) codes.add(code);
		if (route.body) for (const code of ['malformed_json', 'too_large', 'unsupported_media_type', 'invalid'] as const) codes.add(code);
		if (route.query) codes.add('invalid');
		const refusals = Object.groupBy(codes, (code) => String(problems[code].status));
		const parameters = [
			...[...route.path.matchAll(/\{(\w+)\}/g)].map((match) => ({ name: match[1], in: 'path', required: true, schema: { type: 'string' } })),
			...Object.entries(route.query?.shape ?? {}).map(([name, schema]) => ({
				name,
				in: 'query',
				required: !(schema as z.ZodType).safeParse(undefined).success,
				schema: jsonSchema(schema as z.ZodType, 'input'),
			})),
		];
		const content = route.body && bodyContent(route.body, route.types ?? ['application/json']);
		paths[route.path] = {
			...paths[route.path],
			[route.method]: {
				summary: route.summary,
				...(route.role ? { security: [{ token: [] }], 'x-least-role': route.role } : {}),
				...(parameters.length > 0 ? { parameters } : {}),
				...(content ? { requestBody: { required: true, content } } : {}),
				responses: {
					...Object.fromEntries(
						Object.entries(route.answers).map(([status, answer]) => [status, { description: 'The answer', content: answerContent(answer) }]),
					),
					...Object.fromEntries(
						Object.entries(refusals).map(([status, of]) => [
							status,
							{ description: of?.join(', ') ?? '', content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } },
						]),
					),
				},
			},
		};
	}
	return {
		openapi: '3.1.0',
		info: { title, version: '1' },
		paths,
		components: {
			schemas: { Problem: jsonSchema(problemDocument, 'output') },
			securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
		},
	};
}
