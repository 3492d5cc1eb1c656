import type { Instance } from '../instance.ts';

export type Door = keyof Instance['urls'];

/** JSON Schema as OpenAPI 3.1 has it: the part that our documents use. */
export interface Schema {
	type?: string | string[];
	enum?: unknown[];
	const?: unknown;
	anyOf?: Schema[];
	oneOf?: Schema[];
	properties?: Record<string, Schema>;
	required?: string[];
	additionalProperties?: boolean | Schema;
	propertyNames?: Schema;
	items?: boolean | Schema;
	prefixItems?: Schema[];
	minItems?: number;
	maxItems?: number;
	minLength?: number;
	maxLength?: number;
	pattern?: string;
	format?: string;
	minimum?: number;
	maximum?: number;
	exclusiveMinimum?: number;
}

export interface Content {
	[mediaType: string]: { schema: Schema };
}

/** A door's document, as far as it is read here. */
export interface OpenApi {
	paths: Record<
		string,
		Record<
			string,
			{
				parameters?: { name: string; in: 'path' | 'query'; required?: boolean; schema: Schema }[];
				requestBody?: { content: Content };
				responses: Record<string, { content: Content }>;
				'x-least-role'?: string;
			}
		>
	>;
}

/** One call of a door as its document declares it. */
export interface Operation {
	door: Door;
	/** GET, POST, PUT */
	method: string;
	/** With parameters in braces. */
	path: string;
	/** Null: no token is wanted. */
	role: string | null;
	query: Record<string, Schema>;
	/** Parameters of the query that must be there. */
	wanted: string[];
	/** Empty: no body is wanted. */
	bodies: Content;
	responses: Record<string, Content>;
}

export function operationsOf(door: Door, document: OpenApi): Operation[] {
	return Object.entries(document.paths).flatMap(([path, methods]) =>
		Object.entries(methods).map(([method, { parameters = [], requestBody, responses, ...more }]) => ({
			door,
			method: method.toUpperCase(),
			path,
			role: more['x-least-role'] ?? null,
			wanted: parameters.filter((one) => one.in === 'query' && one.required).map(({ name }) => name),
			query: Object.fromEntries(parameters.filter((one) => one.in === 'query').map(({ name, schema }) => [name, schema])),
			bodies: requestBody?.content ?? {},
			responses: Object.fromEntries(Object.entries(responses).map(([status, { content }]) => [status, content])),
		})),
	);
}
