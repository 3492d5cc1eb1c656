import type * as z from 'zod';
import { limits } from './limits.ts';
import type { FieldError } from './problem.ts';

export type Parsed<T> = { ok: true; value: T } | { ok: false; errors: FieldError[] };

/** `["a/b", 0]` as a JSON Pointer (RFC 6901): `/a~1b/0`. */
export function pointer(path: readonly PropertyKey[]): string {
	return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

const clip = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}...` : text).toWellFormed();

/**
 * Looks for what no schema says: `__proto__` as a key, nesting beyond reason, text that is not Unicode. Turns -0 into 0, in place.
 * Iterative, since JSON may be 30,000 levels deep.
 */
function hidden(value: unknown): FieldError[] {
	if (typeof value !== 'object' || value === null) return [];
	const open: { node: Record<string, unknown>; path: string[] }[] = [{ node: value as Record<string, unknown>, path: [] }];
	for (let at = open.pop(); at; at = open.pop()) {
		const { node, path } = at;
		if (path.length > limits.json_depth_max) return [{ path: '', message: `must not be nested deeper than ${limits.json_depth_max} levels` }];
		if (Array.isArray(node) && node.every((inner) => inner === null || (typeof inner === 'number' && inner !== 0) || typeof inner === 'boolean')) continue;
		for (const key of Object.keys(node)) {
			if (key === '__proto__') return [{ path: pointer([...path, key]), message: 'unknown field' }];
			const inner = node[key];
			if (typeof inner === 'string') {
				if (!inner.isWellFormed()) return [{ path: pointer([...path, key]), message: 'must not have lone surrogates' }];
			} else if (inner === 0) node[key] = 0;
			else if (typeof inner === 'object' && inner !== null) open.push({ node: inner as Record<string, unknown>, path: [...path, key] });
		}
	}
	return [];
}

function fieldErrors(issue: z.core.$ZodIssue, above: readonly PropertyKey[] = []): FieldError[] {
	const path = [...above, ...issue.path];
	switch (issue.code) {
		case 'unrecognized_keys':
			return issue.keys.map((key) => ({ path: pointer([...path, key]), message: 'unknown field' }));
		case 'invalid_key':
			return [{ path: pointer(path), message: issue.issues[0]?.message ?? issue.message }];
		case 'invalid_union': {
			// The branch that got furthest says best what is wrong.
			const branches = [...issue.errors].sort((a, b) => a.length - b.length || (b[0]?.path.length ?? 0) - (a[0]?.path.length ?? 0));
			const [best] = branches;
			return best && best.length > 0 ? best.flatMap((inner) => fieldErrors(inner, path)) : [{ path: pointer(path), message: issue.message }];
		}
		default:
			return [{ path: pointer(path), message: clip(issue.message) }];
	}
}

/**
 * A JSON value (as JSON.parse gave it, changed in place: -0 becomes 0) against a schema. Errors carry JSON Pointers; an unknown field has a pointer of
 * its own. Never throws on data.
 */
export function parse<S extends z.ZodType>(schema: S, value: unknown): Parsed<z.output<S>> {
	const errors = hidden(value);
	if (errors.length > 0) return { ok: false, errors };
	const result = schema.safeParse(value);
	if (result.success) return { ok: true, value: result.data };
	return { ok: false, errors: result.error.issues.flatMap((issue) => fieldErrors(issue)) };
}
