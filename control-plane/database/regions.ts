import { and, asc, desc, eq, gt, inArray, lt, notInArray, sql } from 'drizzle-orm';
import { limits } from '#schemas/limits.ts';
import type { Region, RegionInput } from '#schemas/region.ts';
import type { Connection } from './database.ts';
import { type Page, toPage } from './page.ts';
import { region } from './schema.ts';

type Row = typeof region.$inferSelect;

function toRegion({ number: _, change: __, neighbours, profile, holiday_dates, ...row }: Row): Region {
	return {
		...row,
		neighbours: JSON.parse(neighbours) as string[],
		profile: profile === null ? null : (JSON.parse(profile) as number[]),
		holiday_dates: JSON.parse(holiday_dates) as string[],
	};
}

const toColumns = ({ name, time_zone, rule_set, location_hint, neighbours, profile, minutes_per_booking, holidays }: RegionInput) => ({
	name,
	time_zone,
	rule_set,
	location_hint,
	neighbours: JSON.stringify(neighbours),
	profile: profile === null ? null : JSON.stringify(profile),
	minutes_per_booking,
	holidays,
});

const nextChange = sql<number>`nextval('catalogue_change')`;

/** One entry of the catalogue. */
export async function readRegion(connection: Connection, regionId: string): Promise<Region | undefined> {
	const [row] = await connection.select().from(region).where(eq(region.region_id, regionId));
	return row && toRegion(row);
}

/** The entries of these ids, in no order. */
export async function readRegions(connection: Connection, regionIds: readonly string[]): Promise<Region[]> {
	if (regionIds.length === 0) return [];
	return (
		await connection
			.select()
			.from(region)
			.where(inArray(region.region_id, [...regionIds]))
	).map(toRegion);
}

/**
 * The entries changed after change number `after` (0: all), oldest change first, with the number to ask from next time. Changes become visible in the order
 * of their numbers, so nothing is missed.
 */
export async function readCatalogue(connection: Connection, { after = 0 }: { after?: number } = {}): Promise<{ entries: Region[]; change: number }> {
	const rows = await connection.select().from(region).where(gt(region.change, after)).orderBy(asc(region.change));
	return { entries: rows.map(toRegion), change: rows.at(-1)?.change ?? after };
}

/** Versions by region id: what the reconciler compares. */
export async function readRegionVersions(connection: Connection): Promise<Map<string, number>> {
	const rows = await connection.select({ region_id: region.region_id, version: region.version }).from(region);
	return new Map(rows.map((row) => [row.region_id, row.version]));
}

/** Newest first; `before` is a number of the list. */
export async function listRegions(connection: Connection, { before, limit }: { before: number | undefined; limit: number }): Promise<Page<Region>> {
	const rows = await connection
		.select()
		.from(region)
		.where(before === undefined ? undefined : lt(region.number, before))
		.orderBy(desc(region.number))
		.limit(limit + 1);
	return toPage(rows, { limit, item: toRegion, position: (row) => row.number });
}

/** How many regions the catalogue has. */
export async function countRegions(connection: Connection): Promise<number> {
	return connection.$count(region);
}

/**
 * Writes an entry whole; `frozen` stays as it is, the version grows by one. In a transaction that holds `lockConfiguration`.
 * @returns the entry as it was (undefined: new) and as it is.
 */
export async function writeRegion(
	transaction: Connection,
	{ regionId, input, holidayDates }: { regionId: string; input: RegionInput; holidayDates: readonly string[] },
): Promise<{ before: Region | undefined; after: Region }> {
	const before = await readRegion(transaction, regionId);
	const columns = { ...toColumns(input), holiday_dates: JSON.stringify(holidayDates), change: nextChange };
	const rows = before
		? await transaction
				.update(region)
				.set({ ...columns, version: before.version + 1 })
				.where(eq(region.region_id, regionId))
				.returning()
		: await transaction
				.insert(region)
				.values({ region_id: regionId, frozen: false, version: 1, ...columns })
				.returning();
	return { before, after: toRegion(rows[0]!) };
}

/** Freezes or thaws. In a transaction that holds `lockConfiguration`; undefined when there is no such region. */
export async function writeFrozen(
	transaction: Connection,
	{ regionId, frozen }: { regionId: string; frozen: boolean },
): Promise<{ before: Region; after: Region } | undefined> {
	const before = await readRegion(transaction, regionId);
	if (!before) return undefined;
	const [row] = await transaction
		.update(region)
		.set({ frozen, version: before.version + 1, change: nextChange })
		.where(eq(region.region_id, regionId))
		.returning();
	return { before, after: toRegion(row!) };
}

/** Writes many new entries at once: the first filling of an empty catalogue. */
export async function insertRegions(
	transaction: Connection,
	entries: readonly { regionId: string; input: RegionInput; holidayDates: readonly string[] }[],
): Promise<void> {
	for (let at = 0; at < entries.length; at += limits.regions_insert) {
		const rows = entries.slice(at, at + limits.regions_insert).map(({ regionId, input, holidayDates }) => ({
			region_id: regionId,
			frozen: false,
			version: 1,
			...toColumns(input),
			holiday_dates: JSON.stringify(holidayDates),
			change: nextChange,
		}));
		await transaction.insert(region).values(rows);
	}
}

/** Regions whose rule set is none of these names, by id; at most `limit`. */
export async function regionsWithout(connection: Connection, { ruleSets, limit }: { ruleSets: readonly string[]; limit: number }): Promise<string[]> {
	const rows = await connection
		.select({ region_id: region.region_id })
		.from(region)
		.where(and(ruleSets.length > 0 ? notInArray(region.rule_set, [...ruleSets]) : undefined))
		.orderBy(asc(region.region_id))
		.limit(limit);
	return rows.map((row) => row.region_id);
}
