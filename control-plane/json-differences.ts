import { pointer } from '#schemas/parse.ts';

export interface JsonDifference {
	/** JSON Pointer. */
	path: string;
	/** Null where there is nothing. */
	from: unknown;
	to: unknown;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** Where two JSON values differ, at the deepest places that do; objects by key, arrays by index. Nesting is bounded by limits.json_depth_max. */
export function jsonDifferences(from: unknown, to: unknown, path: readonly PropertyKey[] = []): JsonDifference[] {
	if (!isObject(from) || !isObject(to) || Array.isArray(from) !== Array.isArray(to)) {
		return from === to ? [] : [{ path: pointer(path), from: from ?? null, to: to ?? null }];
	}
	return [...new Set([...Object.keys(from), ...Object.keys(to)])].flatMap((key) => {
		const [before, after] = [from[key], to[key]];
		const here = [...path, key];
		if (before === undefined || after === undefined) return [{ path: pointer(here), from: before ?? null, to: after ?? null }];
		return jsonDifferences(before, after, here);
	});
}
