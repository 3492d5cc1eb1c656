import { and, desc, eq, lt } from 'drizzle-orm';
import { formatInstant } from '#schemas/instant.ts';
import type { Connection } from './open-database.ts';
import { type Page, toPage } from './page.ts';
import { model } from './schema.ts';

export interface ModelEntry {
	name: string;
	version: number;
	digest: string;
	state: string;
	created_at: string;
	created_by: string;
}

const toEntry = ({ name, version, digest, state, created_at, created_by }: typeof model.$inferSelect): ModelEntry => ({
	name,
	version,
	digest,
	state,
	created_at: formatInstant(created_at),
	created_by,
});

/** Newest first; `before` is a number of the list. */
export async function listModels(connection: Connection, { before, limit }: { before: number | undefined; limit: number }): Promise<Page<ModelEntry>> {
	const rows = await connection
		.select()
		.from(model)
		.where(before === undefined ? undefined : lt(model.number, before))
		.orderBy(desc(model.number))
		.limit(limit + 1);
	return toPage(rows, { limit, item: toEntry, position: (row) => row.number });
}

/** One model. */
export async function readModel(connection: Connection, { name, version }: { name: string; version: number }): Promise<ModelEntry | undefined> {
	const [row] = await connection
		.select()
		.from(model)
		.where(and(eq(model.name, name), eq(model.version, version)));
	return row && toEntry(row);
}
