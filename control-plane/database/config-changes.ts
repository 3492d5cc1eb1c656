import { desc, lt } from 'drizzle-orm';
import { formatInstant } from '#schemas/instant.ts';
import type { Connection } from './database.ts';
import { type Page, toPage } from './page.ts';
import { configChange } from './schema.ts';

/** A change as it was before and is after; `what` is method and path. */
export interface ConfigChange {
	at: number;
	who: string;
	what: string;
	from: unknown;
	to: unknown;
}

/** Written in the transaction of the change itself. */
export async function recordConfigChange(transaction: Connection, { at, who, what, from, to }: ConfigChange): Promise<void> {
	await transaction.insert(configChange).values({ at, who, what, from: JSON.stringify(from), to: JSON.stringify(to) });
}

/** Newest first; `before` is a number of the list. */
export async function listConfigChanges(
	connection: Connection,
	{ before, limit }: { before: number | undefined; limit: number },
): Promise<Page<Omit<ConfigChange, 'at'> & { at: string }>> {
	const rows = await connection
		.select()
		.from(configChange)
		.where(before === undefined ? undefined : lt(configChange.number, before))
		.orderBy(desc(configChange.number))
		.limit(limit + 1);
	return toPage(rows, {
		limit,
		item: ({ at, who, what, from, to }) => ({ at: formatInstant(at), who, what, from: JSON.parse(from) as unknown, to: JSON.parse(to) as unknown }),
		position: (row) => row.number,
	});
}
