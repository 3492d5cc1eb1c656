import { type ClickHouseClient, ClickHouseError, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import type { ClickHousePlace } from '#control-plane/configuration.ts';
import { limits } from '#schemas/limits.ts';
import { insertRows } from './clickhouse-insert.ts';
import type { Row, Rows } from './clickhouse-rows.ts';
import { ensureTables } from './clickhouse-schema.ts';
import { type Table, type TableName, tables } from './clickhouse-tables.ts';

const UNKNOWN_TABLE = '60';

export interface ClickHouseStore {
	/** `stored`: rows that were put, counted again when they come again; `refused`: rows whose content ClickHouse does not take, named and left out. */
	readonly counts: { stored: number; refused: number };
	/** Durable when it resolves; when it throws, any part of it may be. Tables that are missing are made. */
	put(rows: Rows): Promise<void>;
	close(): Promise<void>;
}

/** A server by its place; nothing is asked of it yet. */
export function clickHouseClient(place: ClickHousePlace): ClickHouseClient {
	return createClient({
		...place,
		application: 'surgecast',
		request_timeout: limits.history_insert_ms,
		max_open_connections: limits.history_connections_max,
		log: { level: ClickHouseLogLevel.OFF }, // what fails is thrown, and told once by whoever asked
	});
}

/** What the log's records are in ClickHouse, as rows. The server need not be there yet. @param options.onRefused names a row that was left out. */
export function openClickHouseStore(place: ClickHousePlace, options: { onRefused: (text: string) => void }): ClickHouseStore {
	const client = clickHouseClient(place);
	const counts = { stored: 0, refused: 0 };
	let checked: Promise<void> | undefined;

	async function insert(table: TableName, rows: readonly Row[]): Promise<void> {
		const onRefused = (row: Row, why: string): void => {
			counts.refused += 1;
			const { key, columns } = tables[table] as Table;
			const named = key.map((name) => `${name} ${JSON.stringify(row[columns.findIndex(([column]) => column === name)] ?? null)}`);
			options.onRefused(`A row of "${table}" is left out, ${named.join(', ')}: ${why}`);
		};
		counts.stored += await insertRows(client, { table, rows, onRefused });
	}

	return {
		counts,
		async put(rows) {
			checked ??= ensureTables(client);
			try {
				await checked;
				// All of them, so that none still runs when the caller hears of a failure and sends all again.
				const ends = await Promise.allSettled(Object.entries(rows).map(([table, some]) => insert(table as TableName, some)));
				for (const end of ends) if (end.status === 'rejected') throw end.reason;
			} catch (error) {
				// Looked at again before the next attempt: a table may have been dropped, or the server never reached.
				if (!(error instanceof ClickHouseError) || error.code === UNKNOWN_TABLE) checked = undefined;
				throw error;
			}
		},
		close: () => client.close(),
	};
}
