// Deaths of real processes under load; the same by `npm run drill`, with more rounds.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DrillReport, openDrill } from './drills/drill.ts';
import { startDrill } from './drills/start-drill.ts';

const SEED = Number(process.env['DRILL_SEED'] ?? Math.floor(Math.random() * 1e9));
const tell = (line: string) => console.log(`${new Date().toISOString().slice(11, 19)} ${line}`);

describe(`one product through many deaths, DRILL_SEED=${SEED}`, () => {
	let drill: Awaited<ReturnType<typeof openDrill>>;
	let report: DrillReport;
	beforeAll(async () => {
		drill = await openDrill({ seed: SEED, tell });
	}, 120_000);
	afterAll(() => drill?.tidy(), 30_000);

	test('kill -9 of the product, 20 times: ready again in time, every rule set, release, region and freeze is there (F38)', async () => {
		await drill.kill(20);
	}, 1_200_000);

	test('kill -9 of workerd alone: prices again within 10 s, by itself', async () => {
		await drill.edge(2);
	}, 120_000);

	test('SIGTERM: requests in flight are answered, exit 0 within 10 s, no process is left (F37)', async () => {
		await drill.stop(2);
	}, 240_000);

	test('every event answered 2xx is counted exactly once in the finals (F1, F2, F37, F38), every answered decision is stored once', async () => {
		report = await drill.finish();
		tell(JSON.stringify({ ...report, seed: SEED }));
		const { lost, doubled, unexpected, compared } = report;
		expect({ lost, doubled, unexpected }).toEqual({ lost: [], doubled: [], unexpected: [] });
		expect(compared.events).toBeGreaterThan(1000);
		expect(compared.decisions).toBeGreaterThan(500);
		expect(compared.records).toBeGreaterThan(10);
	}, 240_000);
});

test(`kill -9 during a first start: the next start completes (F40), DRILL_SEED=${SEED}`, async () => {
	await startDrill({ seed: SEED, rounds: 2, tell });
}, 400_000);
