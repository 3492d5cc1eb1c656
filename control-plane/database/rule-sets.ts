import { createHash } from 'node:crypto';
import { desc, eq, inArray, lt, max } from 'drizzle-orm';
import { formatInstant } from '#schemas/instant.ts';
import type { Connection } from './database.ts';
import { type Page, toPage } from './page.ts';
import { ruleSet } from './schema.ts';

export interface StoredRuleSet {
	version: number;
	name: string;
	/** Compact JSON, the very text that travels to the edge. */
	document: string;
	digest: string;
	created_at: number;
	created_by: string;
}

/** Saves a rule set that was found good as the next version. The document is kept as written. In a transaction that holds `lockConfiguration`. */
export async function insertRuleSet(
	transaction: Connection,
	{ name, document, at, who }: { name: string; document: unknown; at: number; who: string },
): Promise<StoredRuleSet> {
	const [last] = await transaction.select({ version: max(ruleSet.version) }).from(ruleSet);
	const text = JSON.stringify(document);
	const row: StoredRuleSet = {
		version: (last?.version ?? 0) + 1,
		name,
		document: text,
		digest: createHash('sha256').update(text).digest('hex'),
		created_at: at,
		created_by: who,
	};
	await transaction.insert(ruleSet).values(row);
	return row;
}

/** One version. */
export async function readRuleSet(connection: Connection, version: number): Promise<StoredRuleSet | undefined> {
	const [row] = await connection.select().from(ruleSet).where(eq(ruleSet.version, version));
	return row;
}

/** The documents (compact JSON) of these versions, by digest. */
export async function readBodies(connection: Connection, versions: readonly number[]): Promise<Map<string, string>> {
	if (versions.length === 0) return new Map();
	const rows = await connection
		.select({ digest: ruleSet.digest, document: ruleSet.document })
		.from(ruleSet)
		.where(inArray(ruleSet.version, [...versions]));
	return new Map(rows.map((row) => [row.digest, row.document]));
}

/** Newest first, without the documents; `before` is a version. */
export async function listRuleSets(
	connection: Connection,
	{ before, limit }: { before: number | undefined; limit: number },
): Promise<Page<{ version: number; name: string; created_at: string; created_by: string }>> {
	const rows = await connection
		.select({ version: ruleSet.version, name: ruleSet.name, created_at: ruleSet.created_at, created_by: ruleSet.created_by })
		.from(ruleSet)
		.where(before === undefined ? undefined : lt(ruleSet.version, before))
		.orderBy(desc(ruleSet.version))
		.limit(limit + 1);
	return toPage(rows, { limit, item: (row) => ({ ...row, created_at: formatInstant(row.created_at) }), position: (row) => row.version });
}
