// schema.ts is what the queries are made from, the migrations are what the database gets: one must say what the other does.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { is, sql } from 'drizzle-orm';
import { getTableConfig, type IndexColumn, isPgSequence, PgTable } from 'drizzle-orm/pg-core';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { testDatabase } from '../test-database.ts';
import * as schema from './schema.ts';

const row = z.object({ relation: z.string(), what: z.string() });

/** What schema.ts says: each table's columns, key and indexes, each as a line. */
function said(): string[] {
	const lines: string[] = [];
	for (const value of Object.values(schema)) {
		if (isPgSequence(value)) lines.push(`${value.seqName}: sequence`);
		if (!is(value, PgTable)) continue;
		const { name, columns, indexes, primaryKeys } = getTableConfig(value);
		for (const column of columns) {
			const type = column.getSQLType().replace('bigserial', 'bigint');
			const numbered = column.getSQLType() === 'bigserial' ? ' numbered' : '';
			lines.push(`${name}: column ${column.name} ${type}${column.notNull ? ' not null' : ''}${numbered}`);
			if (column.primary) lines.push(`${name}: key ${name}_pkey (${column.name})`);
			if (numbered) lines.push(`${name}_${column.name}_seq: sequence`);
		}
		for (const key of primaryKeys) lines.push(`${name}: key ${key.getName()} (${key.columns.map((column) => column.name).join(', ')})`);
		for (const { config } of indexes)
			lines.push(`${name}: index ${config.name} (${config.columns.map((column) => (column as IndexColumn).name).join(', ')})${config.unique ? ' unique' : ''}`);
	}
	return lines.sort();
}

test('the migrations give exactly the tables, columns, keys and indexes of schema.ts', async () => {
	const { connection, close } = await testDatabase();
	try {
		const result = await connection.execute(sql`
			with own as (
				select oid, relname, relkind from pg_class
				where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'S', 'v', 'm') and not relispartition)
			select relname as relation, 'sequence' as what from own where relkind = 'S'
			union all
			select relname, 'column ' || attname || ' ' || format_type(atttypid, atttypmod) || case when attnotnull then ' not null' else '' end
				|| case when pg_get_expr(adbin, adrelid) like 'nextval%' then ' numbered' else '' end
			from own join pg_attribute on attrelid = own.oid left join pg_attrdef on adrelid = attrelid and adnum = attnum
			where relkind <> 'S' and attnum > 0 and not attisdropped
			union all
			select own.relname, case when indisprimary then 'key ' else 'index ' end || named.relname || ' ('
				|| (select string_agg(pg_get_indexdef(indexrelid, n, true), ', ' order by n) from generate_series(1, indnatts) as n) || ')'
				|| case when indisunique and not indisprimary then ' unique' else '' end
			from own join pg_index on indrelid = own.oid join pg_class as named on named.oid = indexrelid`);
		const found = z.object({ rows: z.array(row) }).parse(result).rows;
		expect(found.map(({ relation, what }) => `${relation}: ${what}`).sort()).toEqual(said());
		const parted = await connection.execute(sql`select pg_get_partkeydef('decision'::regclass) as key`);
		expect((parted as { rows: unknown[] }).rows).toEqual([{ key: 'RANGE (decided_at)' }]);
	} finally {
		await close();
	}
});

test('the journal names every migration once, in the order of time, and the newest snapshot is that of schema.ts', () => {
	const folder = join(import.meta.dirname, 'migrations');
	const journal = z
		.object({ entries: z.array(z.object({ idx: z.int(), tag: z.string(), when: z.int() })) })
		.parse(JSON.parse(readFileSync(join(folder, 'meta/_journal.json'), 'utf8')));
	const tags = journal.entries.map(({ tag }) => tag);
	expect(
		readdirSync(folder)
			.filter((name) => name.endsWith('.sql'))
			.sort(),
	).toEqual(tags.map((tag) => `${tag}.sql`));
	expect(journal.entries.map(({ idx }) => idx)).toEqual(tags.map((_, at) => at));
	expect(journal.entries.map(({ when }) => when)).toEqual(journal.entries.map(({ when }) => when).toSorted((a, b) => a - b));
	const newest = join(folder, 'meta', `${tags.at(-1)!.slice(0, 4)}_snapshot.json`);
	expect(existsSync(newest)).toBe(true);
	const snapshot = z
		.object({
			tables: z.record(
				z.string(),
				z.object({ name: z.string(), columns: z.record(z.string(), z.unknown()), compositePrimaryKeys: z.record(z.string(), z.unknown()) }),
			),
		})
		.parse(JSON.parse(readFileSync(newest, 'utf8')));
	const tables = Object.values(schema).filter((value) => is(value, PgTable));
	expect(
		Object.values(snapshot.tables)
			.map(({ name, columns, compositePrimaryKeys }) => [name, Object.keys(columns), Object.keys(compositePrimaryKeys)])
			.sort(),
	).toEqual(
		tables
			.map((table) => {
				const { name, columns, primaryKeys } = getTableConfig(table);
				return [name, columns.map((column) => column.name), primaryKeys.map((key) => key.getName())];
			})
			.sort(),
	);
});
