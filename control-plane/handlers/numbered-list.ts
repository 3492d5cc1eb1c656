import { numberCursor, type Page, readCursor } from '../database/page.ts';
import type { Reply } from '../door.ts';

type Read<T> = (options: { before: number | undefined; limit: number }) => Promise<Page<T>>;

/** Answers a list whose cursor is a number. */
export async function numberedList<T>({ cursor, limit }: { cursor?: string | undefined; limit: number }, read: Read<T>): Promise<Reply> {
	const at = readCursor(cursor, numberCursor);
	if (!at.ok) return { code: 'invalid', detail: 'The query does not fit the schema; see errors.', errors: at.errors };
	return { status: 200, body: await read({ before: at.position, limit }) };
}
