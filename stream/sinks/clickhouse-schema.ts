import type { ClickHouseClient } from '@clickhouse/client';
import { addColumn, createTable, forgetTokens, type Table, type TableName, tables } from './clickhouse-tables.ts';

/** A table that is not what this version writes: whoever made or changed it has to look. */
export class TableDiffers extends Error {
	override readonly name = 'TableDiffers';
}

const quoted = (names: readonly string[]): string => names.join(', ');

/**
 * Makes the tables that are missing, adds columns that are, and checks the rest. Any number of processes may do so at once, of this version and of an older one,
 * which names the columns that it writes and leaves later ones to their defaults.
 * @throws TableDiffers for an engine, a key or a type that would cost exactness; whatever the client throws.
 */
export async function ensureTables(client: ClickHouseClient): Promise<void> {
	for (const name of Object.keys(tables) as TableName[]) await client.command({ query: createTable(name) });
	for (const name of Object.keys(tables) as TableName[]) {
		const wanted: Table = tables[name];
		const there = await client.query({
			query: 'SELECT engine, engine_full, sorting_key FROM system.tables WHERE database = currentDatabase() AND name = {name:String}',
			query_params: { name },
			format: 'JSONEachRow',
		});
		const [found] = await there.json<{ engine: string; engine_full: string; sorting_key: string }>();
		// Replicated and shared engines replace as this one does.
		if (!found?.engine.endsWith('ReplacingMergeTree') || found.sorting_key !== quoted(wanted.key))
			throw new TableDiffers(
				`Cannot write the table "${name}": it is a ${found?.engine} ordered by (${found?.sorting_key}), wanted is a ReplacingMergeTree ordered by (${quoted(wanted.key)})`,
			);
		if (/non_replicated_deduplication_window = [1-9]/.test(found.engine_full)) await client.command({ query: forgetTokens(name) });
		const columns = await client.query({
			query: 'SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {name:String}',
			query_params: { name },
			format: 'JSONEachRow',
		});
		const types = new Map((await columns.json<{ name: string; type: string }>()).map((column) => [column.name, column.type]));
		for (const column of wanted.columns) {
			const type = types.get(column[0]);
			if (type === undefined) await client.command({ query: addColumn(name, column) });
			else if (type !== column[1]) throw new TableDiffers(`Cannot write the table "${name}": its column "${column[0]}" is ${type}, wanted is ${column[1]}`);
		}
	}
}
