// The history while its ClickHouse is away, dies in the middle of inserts and comes back: on a server of its own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openAnalytics } from '#control-plane/analytics.ts';
import { booking, freshLog, recordOf, until } from '#stream/features/river.test-support.ts';
import { countOf, decided, finalOf, freshDatabase, snapped } from '#stream/sinks/clickhouse.test-support.ts';
import { openClickHouseSink } from '#stream/sinks/clickhouse-sink.ts';
import { type ClickHouseServer, startClickHouse } from './services/clickhouse.ts';

const MINUTE_MS = 60_000;
const START = Date.UTC(2026, 0, 11, 10);
const directory = mkdtempSync(join(tmpdir(), 'surgecast-clickhouse-'));
let server: ClickHouseServer;
beforeAll(async () => {
	server = await startClickHouse(directory);
});
afterAll(async () => {
	await server.kill();
	rmSync(directory, { recursive: true, force: true });
});

const KINDS = ['event', 'final', 'decision', 'snapshot', 'forecast'] as const;
/** Five records of these numbers, one of each kind, over all partitions; each snapshot comes twice. */
function records(from: number, to: number) {
	return Array.from({ length: to - from }, (_, n) => from + n).flatMap((n) => {
		const at = START + n * MINUTE_MS;
		const snapshot = snapped(`s-${n}`, { as_of: at });
		const four = [finalOf(at), snapshot, snapshot, decided(`d-${n}`, { decided_at: at, snapshot_id: `s-${n}` })];
		return [recordOf(booking(`b-${n}`, at), 2), ...four.map((record) => ({ ...record, partition: n % 2 }))];
	});
}
const counts = async (client: Parameters<typeof countOf>[0]) =>
	Object.fromEntries(await Promise.all(KINDS.map(async (name) => [name, await countOf(client, name)])));
const exactly = (n: number) => ({ event: n, final: n, decision: n, snapshot: n, forecast: 3 * n });

test('the backlog drains and the counts are exact after ClickHouse was down, from the start of the sink or under it (F22)', { timeout: 120_000 }, async () => {
	const river = freshLog(2);
	const { place, client, remove } = await freshDatabase(server.url);
	const analytics = openAnalytics(place);
	const troubles: string[] = [];
	const open = () =>
		openClickHouseSink({ place, log: river.log, retry_ms: 50, gather: { records_max: 200, ms: 10 }, onTrouble: (text) => troubles.push(text) });
	try {
		await server.stop();
		const sink = await open();
		sink.start();
		await river.log.append(records(0, 300));
		await until('the failure', () => sink.counts.failures > 2);
		expect(sink.behind().map(({ what }) => what)).toContain('the history in ClickHouse');
		expect(sink.trouble()).toMatch(/^The history in ClickHouse takes nothing; all waits in the log: .*ECONNREFUSED/);
		await server.start();
		await sink.drain(30_000);
		expect(await counts(client)).toEqual(exactly(300));
		await until('no trouble', () => sink.behind().length === 0);

		await server.kill();
		for (let n = 300; n < 1300; n += 100) await river.log.append(records(n, n + 100));
		const failures = sink.counts.failures;
		await until('failures again', () => sink.counts.failures > failures + 2);
		await expect(analytics.multipliers({ from: START, to: START + 1 })).rejects.toThrow('ClickHouse does not answer now.');
		await sink.stop(); // does not wait for it: everything is in the log
		const next = await open();
		next.start();
		await server.start();
		await next.drain(60_000);
		expect(await counts(client)).toEqual(exactly(1300));
		expect((await analytics.multipliers({ from: START, to: START + 1300 * MINUTE_MS })).decisions).toBe(1300);
		expect(troubles.filter((text) => text.includes('left out'))).toEqual([]);
		await next.stop();
	} finally {
		await analytics.close();
		await remove();
		await river.log.close();
		river.remove();
	}
});

test('the counts are exact after kill -9 of the server in the middle of inserts, 25 times', { timeout: 300_000 }, async () => {
	const river = freshLog(2);
	const { place, client, remove } = await freshDatabase(server.url);
	const sink = await openClickHouseSink({ place, log: river.log, retry_ms: 20, gather: { records_max: 100, ms: 1 } });
	try {
		sink.start();
		let appended = 0;
		for (let kill = 0; kill < 25; kill++) {
			const before = sink.counts.stored;
			for (let n = 0; n < 4; n++) {
				await river.log.append(records(appended, appended + 100));
				appended += 100;
			}
			await until('an insert of this round', () => sink.counts.stored > before + kill * 40, 30_000);
			await server.kill();
			await server.start();
		}
		await sink.drain(60_000);
		expect(await counts(client)).toEqual(exactly(appended));
		expect(sink.counts.failures).toBeGreaterThan(0);
		expect(sink.counts.refused).toBe(0);
	} finally {
		await sink.stop();
		await remove();
		await river.log.close();
		river.remove();
	}
});

test('a stop does not wait for a server that hangs; the next start goes on where it was', { timeout: 15_000 }, async () => {
	const river = freshLog(2);
	const { place, client, remove } = await freshDatabase(server.url);
	const open = () => openClickHouseSink({ place, log: river.log, retry_ms: 20, gather: { records_max: 100, ms: 1 } });
	try {
		const sink = await open();
		sink.start();
		await river.log.append(records(0, 10));
		await sink.drain(10_000);
		server.freeze();
		await river.log.append(records(10, 20));
		await sink.drain(300);
		await sink.stop(); // an insert has 20 s, this test has less
		server.thaw();
		const next = await open();
		next.start();
		await next.drain(10_000);
		expect(await counts(client)).toEqual(exactly(20));
		await next.stop();
	} finally {
		server.thaw();
		await remove();
		await river.log.close();
		river.remove();
	}
});
