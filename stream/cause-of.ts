import { limits } from '#schemas/limits.ts';

/** Why something failed, for operators: the innermost cause's first line. What lies around it may hold a whole statement with its data. */
export function causeOf(error: unknown): string {
	let inner = error;
	while (inner instanceof Error && inner.cause !== undefined) inner = inner.cause;
	const [line = ''] = (inner instanceof Error ? inner.message || inner.name : String(inner)).split('\n');
	return line.slice(0, limits.cause_chars_max);
}
