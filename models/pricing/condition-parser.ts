import type { ASTNode, ParseError, ParseResult, TypeError as TypeFault } from '@marcbachmann/cel-js';
import { Environment } from '@marcbachmann/cel-js/evaluator';
import { limits } from '#schemas/limits.ts';
import { attribute, type Path, paths, type Read } from './condition-paths.ts';

export interface ConditionRefusal {
	message: string;
	/** Characters from the start of the condition. */
	offset: number;
}
export type ParsedCondition = { ok: true; program: ParseResult } | { ok: false; refusal: ConditionRefusal };

/** The string functions that conditions have, all with one argument. */
export const methods: ReadonlySet<string> = new Set(['startsWith', 'endsWith', 'contains']);

/** Beyond the depth of operators the parser counts a path's dots (two at most) and the whole. */
const PARSER_DEPTH_SLACK = 3;

let environment: Environment | undefined;

/** Made at the first condition: a rule set without any does not pay for it. */
function celEnvironment(): Environment {
	if (environment) return environment;
	const made = new Environment({
		limits: {
			maxDepth: limits.condition_depth_max + PARSER_DEPTH_SLACK,
			maxListElements: limits.condition_list_max,
			maxAstNodes: limits.condition_nodes_max,
		},
	});
	for (const [root, fields] of paths) {
		const schema = Object.fromEntries([...fields].filter(([field]) => !field.includes('.')).map(([field, { type }]) => [field, type]));
		made.registerVariable({
			name: root,
			schema: root === 'request' ? { ...schema, attributes: 'map<string, dyn>', user: { bucket: 'double' } } : schema,
		});
	}
	environment = made;
	return made;
}

/**
 * A condition as a CEL program, type-checked, with its whole-number literals made doubles. Refuses what goes beyond the language of docs/pricing.md:
 * only the listed kinds of expression pass, so nothing that the library may learn comes in unseen. Never throws on text.
 */
export function parseCondition(text: string): ParsedCondition {
	if (text.length > limits.condition_chars_max)
		return refused(`must not be longer than ${limits.condition_chars_max} characters, but has ${text.length}`, limits.condition_chars_max);
	let program: ParseResult;
	try {
		program = celEnvironment().parse(text);
	} catch (error) {
		return { ok: false, refusal: told(error as ParseError) };
	}
	const refusal = refusalOf(program.ast, 1);
	if (refusal) return { ok: false, refusal };
	const checked = program.check();
	if (!checked.valid) return { ok: false, refusal: told(checked.error as TypeFault) };
	if (checked.type !== 'bool' && checked.type !== 'dyn') return refused(`must be true or false, but is a ${checked.type}`, program.ast.start);
	return { ok: true, program };
}

const refused = (message: string, offset: number) => ({ ok: false, refusal: { message, offset } }) as const;

function told(error: ParseError | TypeFault): ConditionRefusal {
	const offset = error.range?.start ?? 0;
	if (error.code !== 'limit_exceeded') return { message: clip(`is not a valid condition: ${error.summary ?? error.message}`), offset };
	if (error.summary.includes('maxListElements')) return { message: `must not have a list of more than ${limits.condition_list_max} elements`, offset };
	if (error.summary.includes('maxAstNodes')) return { message: `must not have more than ${limits.condition_nodes_max} names, values and operators`, offset };
	return { message: TOO_DEEP, offset };
}

const TOO_DEEP = `must not be nested deeper than ${limits.condition_depth_max} levels`;
const clip = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}...` : text).toWellFormed();

/** Names from the root on, when the node is a path: features.x, request.user.bucket, request.attributes['x']. */
function namesOf(node: ASTNode): string[] | null {
	if (node.op === 'id') return [node.args];
	if (node.op !== '.' && node.op !== '[]') return null;
	const [left, key] = node.args;
	const above = namesOf(left);
	if (above === null) return null;
	if (typeof key === 'string') return [...above, key];
	return key.op === 'value' && typeof key.args === 'string' ? [...above, key.args] : null;
}

/** What a path node reads: a declared name, or an attribute (`path` is null then). Null when it is neither. */
export function readOf(node: ASTNode): { read: Read; path: Path | null } | null {
	const names = namesOf(node);
	if (names === null) return null;
	const [root = '', ...rest] = names;
	if (root === 'request' && rest[0] === 'attributes') return rest.length === 2 ? { read: attribute(rest[1]!), path: null } : null;
	const path = paths.get(root)?.get(rest.join('.'));
	return path ? { read: path.read, path } : null;
}

function pathRefusal(node: ASTNode): ConditionRefusal | null {
	if (readOf(node)) return null;
	const names = namesOf(node);
	if (names === null) return { message: 'must not index by an expression: write a name after a dot, or a text in brackets', offset: node.start };
	const [root = '', ...rest] = names;
	const fields = paths.get(root);
	const whole = clip(names.join('.'));
	if (!fields) return { message: `uses unknown name ${clip(root)}: conditions read ${[...paths.keys()].join(', ')}`, offset: node.start };
	if (root === 'request' && rest[0] === 'attributes' && rest.length > 2) return { message: `uses ${whole}, but attributes are flat`, offset: node.start };
	if (rest.length === 0 || whole === 'request.attributes' || whole === 'request.user')
		return { message: `uses ${whole} as a value: name one of its fields, like ${EXAMPLES[whole] ?? `${whole}.${[...fields.keys()][0]}`}`, offset: node.start };
	return { message: `uses unknown field ${whole}`, offset: node.start };
}

const EXAMPLES: Readonly<Record<string, string>> = { 'request.attributes': 'request.attributes.distance_km', 'request.user': 'request.user.bucket' };

/** The first thing that conditions must not have, from the left; makes whole-number literals doubles on its way. Chains like a && b && c are one level. */
function refusalOf(node: ASTNode, depth: number): ConditionRefusal | null {
	if (depth > limits.condition_depth_max) return { message: TOO_DEEP, offset: node.start };
	switch (node.op) {
		case 'value':
			return literalRefusal(node);
		case 'id':
		case '.':
		case '[]':
			return pathRefusal(node);
		case '||':
		case '&&':
		case '==':
		case '!=':
		case '<':
		case '<=':
		case '>':
		case '>=':
		case '+':
		case '-':
		case '*':
		case '/':
			return refusalOf(node.args[0], depth) ?? refusalOf(node.args[1], depth + 1);
		case 'in': {
			const [left, right] = node.args;
			if (right.op !== 'list') return { message: 'must have a list in brackets after in', offset: right.start };
			return refusalOf(left, depth) ?? firstRefusal(right.args, depth + 1);
		}
		case '!_':
		case '-_':
			return refusalOf(node.args, depth + 1);
		case '?:':
			return firstRefusal(node.args, depth + 1);
		case 'call': {
			const [name, args] = node.args;
			if (name !== 'has') return unknownFunction(name, node);
			const [argument] = args;
			if (args.length !== 1 || argument?.op !== '.') return { message: 'must have a field in has(), like has(features.temperature_c)', offset: node.start };
			return pathRefusal(argument);
		}
		case 'rcall': {
			const [name, receiver, args] = node.args;
			if (!methods.has(name)) return unknownFunction(name, node);
			if (args.length !== 1) return { message: `must give ${name}() one text, like region.name.${name}('East')`, offset: node.start };
			return refusalOf(receiver, depth) ?? firstRefusal(args, depth + 1);
		}
		case '%':
			return { message: 'must not use %: all numbers are doubles', offset: node.start };
		case 'list':
			return { message: 'must not have a list other than after in', offset: node.start };
		default:
			return { message: 'must not have maps or optional values', offset: node.start };
	}
}

function firstRefusal(nodes: readonly ASTNode[], depth: number): ConditionRefusal | null {
	for (const node of nodes) {
		const refusal = refusalOf(node, depth);
		if (refusal) return refusal;
	}
	return null;
}

const unknownFunction = (name: string, node: ASTNode): ConditionRefusal => ({
	message: `must not call ${clip(name)}(): conditions have has(), ${[...methods].map((method) => `${method}()`).join(', ')}`,
	offset: node.start,
});

function literalRefusal(node: ASTNode & { op: 'value' }): ConditionRefusal | null {
	const { args } = node;
	switch (typeof args) {
		case 'string':
		case 'number':
		case 'boolean':
			return null;
		case 'bigint': {
			const value = Number(args);
			if (!Number.isSafeInteger(value)) return { message: `must not have the number ${clip(String(args))}: it is beyond 2^53`, offset: node.start };
			// All numbers are doubles. Before the type check, which remembers what it saw.
			(node as { args: number }).args = value;
			return null;
		}
		default:
			return {
				message: args === null ? 'must not have null: ask for what is missing by has()' : 'must not have bytes or unsigned numbers',
				offset: node.start,
			};
	}
}
