import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { problemDocument } from '#schemas/problem.ts';
import type { FuzzRequest } from './make-request.ts';
import { type Door, type OpenApi, type Operation, operationsOf } from './operation.ts';
import type { Answer } from './send.ts';

const INSIDE =
	/node_modules|node:internal|\bat (async )?\S+ \(|\.(ts|js|mjs|wasm):\d|file:\/\/|ECONNREFUSED|drizzle|pglite|\b(select|insert into|delete from)\b.*\b(from|values|where)\b/i;
const PROBLEM = 'application/problem+json';
/** What the HTTP parser itself may say, before any route is known. */
const PARSER = [400, 431];

/** Says what is wrong with an answer; an empty list: nothing. */
export type Judge = (request: Pick<FuzzRequest, 'method' | 'target' | 'breaksHttp'>, answer: Answer | Error) => string[];

const mediaTypeOf = ({ headers }: Answer) => String(headers['content-type'] ?? '').split(';')[0]!;

/**
 * Judges the answers of one door by its document: the status is one that the document declares for the call that the target reaches, the body fits the
 * schema of that status, a refusal is a problem, nothing shows the inside, and no 5xx but a 503 that says when to come again.
 */
export function createJudge(door: Door, document: OpenApi): Judge {
	const ajv = new Ajv2020({ strict: false, validateFormats: false });
	ajv.addSchema(document, 'door');
	const validators = new Map<string, ValidateFunction>();
	const validator = ({ path, method }: Operation, { status, type }: { status: string; type: string }): ValidateFunction => {
		const pointer = ['paths', path, method.toLowerCase(), 'responses', status, 'content', type, 'schema']
			.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')))
			.join('/');
		const found = validators.get(pointer) ?? ajv.compile({ $ref: `door#/${pointer}` });
		validators.set(pointer, found);
		return found;
	};

	const calls = operationsOf(door, document).map((operation) => ({
		operation,
		// A path without parameters before one that has some, as the doors do it.
		parameters: operation.path.split('{').length,
		pattern: new RegExp(`^${operation.path.replaceAll(/[.]/g, '\\$&').replaceAll(/\{\w+\}/g, '[^/]+')}$`),
	}));
	calls.sort((a, b) => a.parameters - b.parameters);

	const refusal = (answer: Answer): string[] => {
		if (mediaTypeOf(answer) !== PROBLEM) return [`is a refusal of type "${mediaTypeOf(answer)}"`];
		const parsed = problemDocument.safeParse(tryJson(answer.text));
		if (!parsed.success) return [`is no problem document: ${parsed.error.issues[0]?.path.join('/')} ${parsed.error.issues[0]?.message}`];
		return parsed.data.status === answer.status ? [] : [`says status ${parsed.data.status} inside`];
	};

	/** By the document of one call. */
	const byCall = (operation: Operation, answer: Answer): string[] => {
		const declared = operation.responses[answer.status];
		if (!declared) return [`has status ${answer.status}, which ${operation.method} ${operation.path} does not declare`];
		const type = mediaTypeOf(answer);
		if (!declared[type]) return [`has type "${type}" under status ${answer.status}, declared is ${Object.keys(declared).join(' or ')}`];
		if (!/json$/.test(type)) return [];
		const validate = validator(operation, { status: String(answer.status), type });
		if (validate(tryJson(answer.text))) return [];
		const [error] = validate.errors ?? [];
		return [`breaks its schema at "${error?.instancePath}": ${error?.message}`];
	};

	return ({ method, target, breaksHttp }, answer) => {
		if (answer instanceof Error) return breaksHttp ? [] : [`did not come: ${answer.message}`];
		if (breaksHttp && PARSER.includes(answer.status)) return [];
		if (answer.status === 503 && !/^\d+$/.test(String(answer.headers['retry-after']))) return ['is a 503 without Retry-After'];
		if (answer.status >= 500 && answer.status !== 503) return [`is a ${answer.status}`];
		if (method === 'HEAD') return answer.text === '' ? [] : ['is one to HEAD and has a body'];
		const refused = answer.status < 200 || answer.status > 299;
		const findings = refused ? [...refusal(answer), ...(INSIDE.test(answer.text) || answer.text.includes(process.cwd()) ? ['shows the inside'] : [])] : [];
		const judged = readingsOf(target).map((path) => {
			const here = calls.filter(({ pattern }) => pattern.test(path)).map(({ operation }) => operation);
			const taking = here.find((operation) => operation.method === method);
			if (taking) return byCall(taking, answer);
			const wanted = here.length > 0 ? 405 : 404;
			return answer.status === wanted ? [] : [`has status ${answer.status}, wanted is ${wanted}: ${method} is not declared there`];
		});
		findings.push(...(judged.find((one) => one.length === 0) ?? judged[0] ?? []));
		return findings;
	};
}

/** The paths that a door may take a target for: as it is written, without its dot segments, or decoded before it looks. */
function readingsOf(target: string): string[] {
	const written = target.split('?')[0] ?? '';
	const pathname = URL.canParse(`http://door${target}`) ? new URL(`http://door${target}`).pathname : written;
	const decoded = pathname.replaceAll(/(?:%[0-9a-f]{2})+/gi, (escapes) => {
		try {
			return decodeURI(escapes);
		} catch {
			return escapes;
		}
	});
	return [written, pathname, decoded];
}

function tryJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
