// Decisions by day: made when they come, by several at once, dropped whole; and taken over from the table that was one.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DecisionRecord } from '#schemas/decision.ts';
import { limits } from '#schemas/limits.ts';
import { testDatabase, testPlace } from '../test-database.ts';
import type { Database } from './database.ts';
import { dropDecisionDays, listDecisionDays, makeDecisionDays } from './decision-days.ts';
import { listDecisions, readDecision, readReplayablePage, storeDecisions } from './decisions.ts';
import { migrate } from './migrate.ts';

const DAY_MS = 24 * 3_600_000;
const BORDER = Date.parse('2015-05-02T00:00:00Z');

/** As much of a decision as the store reads. */
const decision = (id: string, at: number, regionId = 'r') =>
	({
		decision_id: id,
		region_id: regionId,
		decided_at: at,
		isolate: 'i',
		sequence: 1,
		answer: { status: 'priced', versions: { release: 1, rule_set: 1 } },
		inputs: { snapshot_id: 's', user_hash: null },
	}) as unknown as DecisionRecord;
const batch = (...decisions: DecisionRecord[]) => ({ decisions, snapshots: [] });

describe('storeDecisions()', () => {
	let database: Database;
	beforeEach(async () => {
		database = await testDatabase();
	});
	afterEach(() => database.close());
	const days = () => listDecisionDays(database.connection);

	it('makes the day of a decision, whichever year its clock is in, and puts it there by the UTC day', async () => {
		const { connection } = database;
		const now = Date.parse('2026-01-11T10:30:00Z');
		await storeDecisions(connection, batch(decision('before', BORDER - 1), decision('after', BORDER), decision('now', now)));
		expect(await days()).toEqual(['decision_2015_05_01', 'decision_2015_05_02', 'decision_2026_01_11']);
		const inTables = await connection.execute(sql`select tableoid::regclass::text as name, decision_id from decision order by 2`);
		expect((inTables as { rows: unknown[] }).rows).toEqual([
			{ name: 'decision_2015_05_02', decision_id: 'after' },
			{ name: 'decision_2015_05_01', decision_id: 'before' },
			{ name: 'decision_2026_01_11', decision_id: 'now' },
		]);
	});

	it('stores a decision once by its id, across days and repeated batches', async () => {
		const { connection } = database;
		const twice = batch(decision('a', BORDER - 1), decision('b', BORDER), decision('a', BORDER - 1));
		expect(await storeDecisions(connection, twice)).toEqual({ stored: 2 });
		expect(await storeDecisions(connection, twice)).toEqual({ stored: 0 });
		expect(await readDecision(connection, 'b')).toMatchObject({ decision_id: 'b', decided_at: BORDER });
		expect(await readDecision(connection, 'c')).toBeUndefined();
	});

	it('makes a day once for many who want it at the same time', async () => {
		const { connection } = database;
		const stored = await Promise.all(
			Array.from({ length: 16 }, (_, n) => storeDecisions(connection, batch(decision(`d-${n}`, BORDER + n), decision(`e-${n}`, BORDER + DAY_MS + n)))),
		);
		expect(stored).toEqual(Array.from({ length: 16 }, () => ({ stored: 2 })));
		expect(await days()).toEqual(['decision_2015_05_02', 'decision_2015_05_03']);
	});

	it('goes on when a day was dropped that it had made: nothing is remembered', async () => {
		const { connection } = database;
		await storeDecisions(connection, batch(decision('a', BORDER)));
		expect(await dropDecisionDays(connection, BORDER + DAY_MS)).toEqual(['decision_2015_05_02']);
		expect(await storeDecisions(connection, batch(decision('b', BORDER)))).toEqual({ stored: 1 });
		expect((await listDecisions(connection, { limit: 9 })).items.map(({ decision_id }) => decision_id)).toEqual(['b']);
	});

	it('keeps what no clock says in two tables of its own, and lists it in its place', async () => {
		const { connection } = database;
		const ends = [0, -1, Date.UTC(2000, 0, 1) - 1, Date.UTC(2100, 0, 1), Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
		expect(await storeDecisions(connection, batch(...ends.map((at, n) => decision(`n-${n}`, at)), decision('good', BORDER)))).toEqual({ stored: 7 });
		expect(await days()).toEqual(['decision_2015_05_02']);
		expect((await listDecisions(connection, { limit: 9 })).items.map(({ decision_id }) => decision_id)).toEqual([
			'n-4',
			'n-3',
			'good',
			'n-2',
			'n-0',
			'n-1',
			'n-5',
		]);
	});

	it('refuses yet another day beyond the bound, and keeps those that there are', async () => {
		const { connection } = database;
		// The bound is that of the table, so the days need no decisions.
		await makeDecisionDays(
			connection,
			Array.from({ length: limits.decision_partitions_max - 2 }, (_, n) => BORDER + n * DAY_MS),
		);
		await expect(storeDecisions(connection, batch(decision('a', BORDER - 1)))).rejects.toMatchObject({
			cause: {
				message: `Cannot keep decisions of 2015-05-01 as well: there are ${limits.decision_partitions_max} partitions already, and not more are wanted`,
			},
		});
		expect(await storeDecisions(connection, batch(decision('b', BORDER)))).toEqual({ stored: 1 });
		await dropDecisionDays(connection, BORDER + 2 * DAY_MS);
		expect(await storeDecisions(connection, batch(decision('a', BORDER - 1)))).toEqual({ stored: 1 });
	});

	it('lists over the borders of days, page by page, both ways', async () => {
		const { connection } = database;
		const decisions = Array.from({ length: 40 }, (_, n) =>
			decision(`d-${String(n).padStart(2, '0')}`, BORDER + Math.floor(n / 2) * (DAY_MS / 4), `r-${n % 3}`),
		);
		await storeDecisions(connection, batch(...decisions));
		const newest = decisions.map(({ decision_id }) => decision_id).reverse();
		const listed: string[] = [];
		for (let before: [number, string] | undefined; ; ) {
			const page = await listDecisions(connection, { before, limit: 7 });
			listed.push(...page.items.map(({ decision_id }) => decision_id));
			const last = page.items.at(-1)!;
			before = [last.decided_at, last.decision_id];
			if (page.next_cursor === null) break;
		}
		expect(listed).toEqual(newest);
		const replayed: string[] = [];
		for (let after: [number, string] | null = null; ; ) {
			const page: Awaited<ReturnType<typeof readReplayablePage>> = await readReplayablePage(connection, { after, limit: 7 });
			replayed.push(...page.decisions.map(({ decision_id }) => decision_id));
			after = page.next;
			if (after === null) break;
		}
		expect(replayed).toEqual(newest.toReversed());
		const one = await listDecisions(connection, { regionId: 'r-1', from: BORDER + DAY_MS, to: BORDER + 2 * DAY_MS, limit: 50 });
		expect(one.items.map(({ decision_id }) => decision_id)).toEqual(['d-13', 'd-10']);
	});
});

describe('the migration to days', () => {
	const MIGRATIONS = join(import.meta.dirname, 'migrations');
	/** This product's migrations as they were before the days. */
	function olderMigrations(): string {
		const folder = mkdtempSync(join(tmpdir(), 'surgecast-migrations-'));
		cpSync(MIGRATIONS, folder, { recursive: true });
		const journal = JSON.parse(readFileSync(join(folder, 'meta/_journal.json'), 'utf8')) as { entries: { tag: string }[] };
		journal.entries.length = journal.entries.findIndex(({ tag }) => tag === '0003_decision_days');
		writeFileSync(join(folder, 'meta/_journal.json'), JSON.stringify(journal));
		return folder;
	}

	it('takes every row of the older table over, field by field', async () => {
		const place = await testPlace();
		const folder = olderMigrations();
		try {
			const older = await place.openAsItIs();
			await migrate(older.connection, { folder });
			await older.connection.execute(sql`
				insert into decision
				select 'd-' || n, 'r-' || n % 7, case n when 1 then -5 when 2 then 4102444800000 else ${BORDER}::bigint + n * 3600000 end, 'priced', n, 1,
					case n % 2 when 0 then 'u' || n end, 's-' || n, 'i', n, '{"a":"\\u0000 ' || n || '"}', '{}'
				from generate_series(1, 100) as n`);
			const read = async ({ connection }: Database) => ((await connection.execute(sql`select * from decision order by sequence`)) as { rows: unknown[] }).rows;
			const before = await read(older);
			await older.close();
			const opened = await place.open();
			const after = await read(opened);
			const days = await listDecisionDays(opened.connection);
			const left = await opened.connection.execute(sql`select to_regclass('decision_whole') as name`);
			await opened.close();
			expect(before).toHaveLength(100);
			expect(after).toEqual(before);
			expect(days).toEqual(['decision_2015_05_02', 'decision_2015_05_03', 'decision_2015_05_04', 'decision_2015_05_05', 'decision_2015_05_06']);
			expect((left as { rows: unknown[] }).rows).toEqual([{ name: null }]);
		} finally {
			await place.remove();
			rmSync(folder, { recursive: true });
		}
	});

	it('does nothing the second time', async () => {
		const place = await testPlace();
		try {
			const first = await place.open();
			await storeDecisions(first.connection, batch(decision('a', BORDER)));
			await first.close();
			const second = await place.open();
			const found = await readDecision(second.connection, 'a');
			await second.close();
			expect(found).toMatchObject({ decision_id: 'a' });
		} finally {
			await place.remove();
		}
	});
});
