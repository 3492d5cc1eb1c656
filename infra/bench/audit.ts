// How fast decisions go into the two stores by the sinks' own write paths, beside a peer that inserts the same rows into equal tables as most would: VALUES of many
// rows in one statement.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { Database } from '#control-plane/database/database.ts';
import { makeDecisionDays } from '#control-plane/database/decision-days.ts';
import { storeDecisions } from '#control-plane/database/decisions.ts';
import { openDatabase } from '#control-plane/database/open-database.ts';
import type { DecisionBatch } from '#schemas/decision.ts';
import { limits } from '#schemas/limits.ts';
import { countOf, decisionOf, freshDatabase, snapshotOf } from '#stream/sinks/clickhouse.test-support.ts';
import { addRows, type Row, type Rows, rowsOf } from '#stream/sinks/clickhouse-rows.ts';
import { ensureTables } from '#stream/sinks/clickhouse-schema.ts';
import { openClickHouseStore } from '#stream/sinks/clickhouse-store.ts';
import { type Table, type TableName, tables } from '#stream/sinks/clickhouse-tables.ts';
import { startClickHouse } from '../services/clickhouse.ts';
import { startPostgres } from '../services/postgres.ts';
import type { Service } from '../services/service.ts';
import type { BenchResult } from './bench-result.ts';
import { median, table } from './table.ts';

const ROUNDS = 3;
const BATCH = limits.sink_read_records_max;
const GATHERED = limits.history_gather_records;
const DECISIONS = 2 * GATHERED;
const SNAPSHOT_EVERY = 100;
const START = Date.UTC(2026, 0, 11);

/** The same decisions in batches, each with the snapshots that it names. */
function batches(size: number): DecisionBatch[] {
	return Array.from({ length: DECISIONS / size }, (_, batch) => {
		const numbers = Array.from({ length: size }, (_, n) => batch * size + n);
		const snapshotOfNumber = (n: number) => `s-${Math.floor(n / SNAPSHOT_EVERY)}`;
		return {
			decisions: numbers.map((n) => {
				const region_id = `r-${n % 150}`;
				const options = { region_id, decided_at: START + n, snapshot_id: snapshotOfNumber(n), amount_minor: 1000 + (n % 997), sequence: n };
				return decisionOf(`00000000-0000-4000-8000-${String(n).padStart(12, '0')}`, { ...options, surge_multiplier: 1 + (n % 200) / 100 });
			}),
			snapshots: [...new Set(numbers.map(snapshotOfNumber))].map((id) => snapshotOf(id, { as_of: START })),
		};
	});
}

function clickHouseRows({ decisions, snapshots }: DecisionBatch): Rows {
	const rows: Rows = {};
	for (const snapshot of snapshots) addRows(rows, rowsOf({ kind: 'snapshot', snapshot }));
	for (const record of decisions) addRows(rows, rowsOf({ kind: 'decision', record }));
	return rows;
}

const quoted = (value: unknown): string =>
	typeof value === 'string' ? `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'` : value === null ? 'NULL' : String(value);

/** One statement a table, its rows as text. */
function clickHouseStatements(batch: DecisionBatch): string[] {
	return (Object.entries(clickHouseRows(batch)) as [TableName, Row[]][]).map(([name, rows]) => {
		const { columns, at }: Table = tables[name];
		const instants = new Set(
			columns
				.filter(([, type]) => type.startsWith('DateTime64'))
				.map(([column]) => column)
				.concat(at),
		);
		const value = (one: unknown, n: number) => (instants.has(columns[n]![0]) ? `fromUnixTimestamp64Milli(${one})` : quoted(one));
		const list = columns.map(([column]) => `\`${column}\``).join(', ');
		return `INSERT INTO \`${name}\` (${list}) VALUES ${rows.map((row) => `(${row.map(value).join(', ')})`).join(', ')}`;
	});
}

/** Statement and parameters of many rows. */
function postgresInsert(into: string, { columns, rows }: { columns: string[]; rows: unknown[][] }): { text: string; values: unknown[] } {
	const places = rows.map((_, row) => `(${columns.map((_, column) => `$${row * columns.length + column + 1}`).join(', ')})`);
	return {
		text: `insert into "${into}" (${columns.map((name) => `"${name}"`).join(', ')}) values ${places.join(', ')} on conflict do nothing`,
		values: rows.flat(),
	};
}
function postgresInserts({ decisions, snapshots }: DecisionBatch) {
	const columns = [
		'decision_id',
		'region_id',
		'decided_at',
		'status',
		'release',
		'rule_set',
		'user_hash',
		'snapshot_id',
		'isolate',
		'sequence',
		'answer',
		'inputs',
	];
	return [
		postgresInsert('snapshot', {
			columns: ['snapshot_id', 'body', 'created_at'],
			rows: snapshots.map((one) => [one.snapshot_id, JSON.stringify(one), START]),
		}),
		postgresInsert('decision', {
			columns,
			rows: decisions.map(({ decision_id, region_id, decided_at, isolate, sequence, answer, inputs }) => {
				const { release, rule_set } = answer.versions;
				const { user_hash, snapshot_id } = inputs;
				const json = [JSON.stringify(answer), JSON.stringify(inputs)];
				return [decision_id, region_id, decided_at, answer.status, release, rule_set, user_hash, snapshot_id, isolate, sequence, ...json];
			}),
		}),
	];
}

interface Way {
	name: string;
	size: number;
	/** Stores one batch; the tables are there. */
	store: (batch: DecisionBatch) => Promise<unknown>;
	/** Decisions and snapshots that the store has. */
	count: () => Promise<[number, number]>;
	close: () => Promise<void>;
}

async function postgresWays(url: string): Promise<Way[]> {
	const admin = async (statement: string): Promise<void> => {
		const client = new pg.Client(url);
		await client.connect();
		await client.query(statement).finally(() => client.end());
	};
	const fresh = async (): Promise<{ database: Database; client: pg.Client; count: Way['count']; close: Way['close'] }> => {
		const name = `bench_${process.pid}_${performance.now().toFixed(3).replace('.', '_')}`;
		await admin(`create database ${name}`);
		const place = new URL(url);
		place.pathname = `/${name}`;
		const database = await openDatabase(place.href);
		const client = new pg.Client(place.href);
		await client.connect();
		await makeDecisionDays(database.connection, [START]);
		const count = async (of: string) => Number((await client.query(`select count(*) as n from ${of}`)).rows[0].n);
		return {
			database,
			client,
			count: async () => [await count('decision'), await count('snapshot')],
			async close() {
				await client.end();
				await database.close();
				await admin(`drop database ${name} with (force)`);
			},
		};
	};
	const [ours, peer] = [await fresh(), await fresh()];
	return [
		{ ...ours, name: 'postgres_sink', size: BATCH, store: (batch) => storeDecisions(ours.database.connection, batch) },
		{
			...peer,
			name: 'postgres_values',
			size: BATCH,
			async store(batch) {
				await peer.client.query('begin');
				for (const insert of postgresInserts(batch)) await peer.client.query(insert);
				await peer.client.query('commit');
			},
		},
	];
}

async function clickHouseWays(url: string): Promise<Way[]> {
	const fresh = async () => {
		const { place, client, remove } = await freshDatabase(url);
		await ensureTables(client);
		return { place, client, count: async (): Promise<[number, number]> => [await countOf(client, 'decision'), await countOf(client, 'snapshot')], remove };
	};
	const ours = await fresh();
	const store = openClickHouseStore(ours.place, {
		onRefused(text) {
			throw new Error(text);
		},
	});
	const peer = async (name: string, size: number): Promise<Way> => {
		const { client, count, remove } = await fresh();
		return {
			name,
			size,
			async store(batch) {
				const settings = { max_query_size: '1000000000', input_format_values_interpret_expressions: 1 } as const;
				for (const query of clickHouseStatements(batch)) await client.command({ query, clickhouse_settings: settings });
			},
			count,
			close: remove,
		};
	};
	return [
		{
			name: 'clickhouse_sink',
			size: GATHERED,
			store: (batch) => store.put(clickHouseRows(batch)),
			count: ours.count,
			async close() {
				await store.close();
				await ours.remove();
			},
		},
		await peer('clickhouse_values', GATHERED),
		await peer('clickhouse_values_ungathered', BATCH),
	];
}

export async function bench(): Promise<BenchResult> {
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-audit-'));
	chmodSync(directory, 0o755); // PostgreSQL's own user must get in
	const started: Service[] = [];
	const serverOf = async (variable: string, start: (directory: string) => Promise<Service>): Promise<string> => {
		const given = process.env[variable];
		if (given) return given;
		const service = await start(join(directory, variable));
		started.push(service);
		return service.url;
	};
	const taken = new Map<string, { rate: number[]; cpu: number[] }>();
	try {
		const urls = { postgres: await serverOf('TEST_POSTGRES_URL', startPostgres), clickhouse: await serverOf('TEST_CLICKHOUSE_URL', startClickHouse) };
		const made = new Map<number, DecisionBatch[]>([BATCH, GATHERED].map((size) => [size, batches(size)]));
		for (let round = 0; round < ROUNDS; round++) {
			const ways = [...(await postgresWays(urls.postgres)), ...(await clickHouseWays(urls.clickhouse))];
			if (round % 2 === 1) ways.reverse();
			for (const { name, size, store, count, close } of ways) {
				const before = process.cpuUsage();
				const began = performance.now();
				for (const batch of made.get(size)!) await store(batch);
				const seconds = (performance.now() - began) / 1000;
				const { user, system } = process.cpuUsage(before);
				const there = await count();
				if (there[0] !== DECISIONS || there[1] !== DECISIONS / SNAPSHOT_EVERY) throw new Error(`${name} has ${there.join(' and ')} of ${DECISIONS} decisions`);
				const { rate, cpu } = taken.get(name) ?? { rate: [], cpu: [] };
				taken.set(name, { rate: [...rate, DECISIONS / seconds], cpu: [...cpu, (user + system) / DECISIONS] });
				await close();
			}
		}
	} finally {
		for (const service of started) await service.stop();
		rmSync(directory, { recursive: true, force: true });
	}
	const rows = [...taken].sort().map(([name, { rate, cpu }]) => [name, median(rate), Math.min(...rate), Math.max(...rate), median(cpu)] as const);
	console.log(table([[`${DECISIONS} decisions, ${ROUNDS} rounds, counts equal`, 'decisions/s', 'min', 'max', 'us CPU a decision here'], ...rows]));
	return {
		name: 'audit',
		figures: Object.fromEntries(
			rows.flatMap(([name, rate, , , cpu]) => [
				[`${name}_per_second`, Math.round(rate)],
				[`${name}_cpu_us`, Number(cpu.toFixed(1))],
			]),
		),
	};
}
