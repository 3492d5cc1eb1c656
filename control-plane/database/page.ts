import * as z from 'zod';
import type { FieldError } from '#schemas/problem.ts';

/** One page of a list, newest first. */
export interface Page<T> {
	items: T[];
	next_cursor: string | null;
}

/** The page of rows read with one more than `limit`: the one too many says that there is a next page, and is dropped. */
export function toPage<Row, T>(
	rows: readonly Row[],
	{ limit, item, position }: { limit: number; item: (row: Row) => T; position: (row: Row) => unknown },
): Page<T> {
	const shown = rows.slice(0, limit);
	const last = shown.at(-1);
	return {
		items: shown.map(item),
		next_cursor: rows.length > limit && last !== undefined ? Buffer.from(JSON.stringify(position(last))).toString('base64url') : null,
	};
}

type Position<T> = { ok: true; position: T | undefined } | { ok: false; errors: FieldError[] };

/** The position inside a cursor that `toPage` wrote. A cursor comes from outside: anything else is refused. */
export function readCursor<S extends z.ZodType>(cursor: string | undefined, schema: S): Position<z.output<S>> {
	if (cursor === undefined) return { ok: true, position: undefined };
	try {
		const parsed = schema.safeParse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
		if (parsed.success) return { ok: true, position: parsed.data };
	} catch {
		// not JSON: refused below
	}
	return { ok: false, errors: [{ path: '/cursor', message: 'must be the next_cursor of a page of this list' }] };
}

/** The cursor of lists that are numbered. Bounded like the narrowest column that it is compared with: Postgres refuses what does not fit. */
export const numberCursor = z.int32().nonnegative();
