import { desc, eq, gte, lt, min } from 'drizzle-orm';
import type { Release } from '#schemas/release.ts';
import type { Connection } from './database.ts';
import { type Page, toPage } from './page.ts';
import { release, releaseAcknowledgement } from './schema.ts';

export interface StoredRelease {
	content: Release;
	jws: string;
}

type Row = typeof release.$inferSelect;

const toStored = ({ content, jws }: Row): StoredRelease => ({ content: JSON.parse(content) as Release, jws });

/** The release with the greatest number; undefined before the first. */
export async function readCurrentRelease(connection: Connection): Promise<StoredRelease | undefined> {
	const [row] = await connection.select().from(release).orderBy(desc(release.release)).limit(1);
	return row && toStored(row);
}

/** One release. */
export async function readRelease(connection: Connection, number: number): Promise<StoredRelease | undefined> {
	const [row] = await connection.select().from(release).where(eq(release.release, number));
	return row && toStored(row);
}

/** Newest first; `before` is a release's number. */
export async function listReleases(connection: Connection, { before, limit }: { before: number | undefined; limit: number }): Promise<Page<Release>> {
	const rows = await connection
		.select()
		.from(release)
		.where(before === undefined ? undefined : lt(release.release, before))
		.orderBy(desc(release.release))
		.limit(limit + 1);
	return toPage(rows, { limit, item: (row) => toStored(row).content, position: (row) => row.release });
}

/** `text` is the content as it was signed. */
export async function insertRelease(
	transaction: Connection,
	{ content, text, jws, at }: { content: Release; text: string; jws: string; at: number },
): Promise<void> {
	await transaction.insert(release).values({ release: content.release, content: text, jws, created_at: at, created_by: content.created_by });
}

/** Notes that these shards have this release. The first time counts. */
export async function recordAcknowledgements(
	connection: Connection,
	{ shards, at }: { shards: readonly { shard: number; release: number }[]; at: number },
): Promise<void> {
	if (shards.length === 0) return;
	await connection
		.insert(releaseAcknowledgement)
		.values(shards.map((row) => ({ release: row.release, shard: row.shard, at })))
		.onConflictDoNothing();
}

/**
 * When each shard first had this release or a later one: a shard that was away while a release was in force never gets it, but is past it.
 * Ordered by shard.
 */
export async function readAcknowledgements(connection: Connection, number: number): Promise<{ shard: number; at: number }[]> {
	const { shard, at } = releaseAcknowledgement;
	const rows = await connection
		.select({ shard, at: min(at) })
		.from(releaseAcknowledgement)
		.where(gte(releaseAcknowledgement.release, number))
		.groupBy(shard)
		.orderBy(shard);
	return rows.map((row) => ({ shard: row.shard, at: Number(row.at) }));
}
