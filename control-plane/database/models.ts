import { and, desc, eq, lt } from 'drizzle-orm';
import type { ModelReference } from '#schemas/release.ts';
import type { Connection } from './database.ts';
import { type Page, toPage } from './page.ts';
import { model } from './schema.ts';

/** A registered model; whether it forecasts is the release's business. */
export interface StoredModel extends ModelReference {
	/** JSON, as it was sent. */
	manifest_text: string;
	/** Milliseconds since 1970. */
	created_at: number;
	created_by: string;
}

const columns = {
	number: model.number,
	name: model.name,
	version: model.version,
	digest: model.digest,
	manifest: model.manifest_digest,
	manifest_text: model.manifest,
	created_at: model.created_at,
	created_by: model.created_by,
};

/** Newest first, without their bytes; `before` is a number of the list. */
export async function listModels(connection: Connection, { before, limit }: { before: number | undefined; limit: number }): Promise<Page<StoredModel>> {
	const rows = await connection
		.select(columns)
		.from(model)
		.where(before === undefined ? undefined : lt(model.number, before))
		.orderBy(desc(model.number))
		.limit(limit + 1);
	return toPage(rows, { limit, item: ({ number: _, ...row }): StoredModel => row, position: (row) => row.number });
}

/** One model, without its bytes. */
export async function readModel(connection: Connection, { name, version }: { name: string; version: number }): Promise<StoredModel | undefined> {
	const [row] = await connection
		.select(columns)
		.from(model)
		.where(and(eq(model.name, name), eq(model.version, version)));
	return row;
}

/** The ONNX file of a model. */
export async function readModelBytes(connection: Connection, { name, version }: { name: string; version: number }): Promise<Uint8Array | undefined> {
	const [row] = await connection
		.select({ bytes: model.bytes })
		.from(model)
		.where(and(eq(model.name, name), eq(model.version, version)));
	return row?.bytes;
}

/** False when this name and version are taken already: a version never changes. */
export async function insertModel(transaction: Connection, { manifest, manifest_text, ...row }: StoredModel & { bytes: Uint8Array }): Promise<boolean> {
	const inserted = await transaction
		.insert(model)
		.values({ ...row, manifest: manifest_text, manifest_digest: manifest })
		.onConflictDoNothing()
		.returning({ number: model.number });
	return inserted.length > 0;
}
