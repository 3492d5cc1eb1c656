// Every process of the product started alone, three feature workers and two of each other but the edge, on a real Kafka and a real PostgreSQL; the same by `npm run drill -- dance`.
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type DanceReport, openDance } from './drills/dance.ts';
import { dropTopics, freshDatabase } from './services/fresh.ts';

const SEED = Number(process.env['DRILL_SEED'] ?? Math.floor(Math.random() * 1e9));
const tell = (line: string) => console.log(`${new Date().toISOString().slice(11, 19)} ${line}`);

describe(`processes of their own, DRILL_SEED=${SEED}`, () => {
	let database: Awaited<ReturnType<typeof freshDatabase>>;
	let dance: Awaited<ReturnType<typeof openDance>>;
	let report: DanceReport;
	beforeAll(async () => {
		database = await freshDatabase(inject('postgres'));
		dance = await openDance({ seed: SEED, kafka: inject('kafka'), database: database.url, tell });
	}, 240_000);
	afterAll(async () => {
		await dance?.tidy();
		await database?.drop();
		await dropTopics(inject('kafka'));
	}, 60_000);

	test('three feature workers are stopped, killed and frozen in turn: every partition has an owner again each time (F3, F4)', async () => {
		await dance.dance(6);
	}, 600_000);

	test('kill -9 of each process in turn: it is ready again on the same servers', async () => {
		await dance.killEach();
	}, 600_000);

	test('every event is counted once, every decision stored once, and the finals are those of one fold from zero, field by field (F1, F2, F3, F4, F5, F15, F37, F38)', async () => {
		report = await dance.finish();
		tell(JSON.stringify({ ...report, seed: SEED }));
		const { lost, doubled, unexpected, differences, compared, finals } = report;
		expect({ lost, doubled, unexpected, differences }).toEqual({ lost: [], doubled: [], unexpected: [], differences: [] });
		expect(compared.events).toBeGreaterThan(1000);
		expect(compared.decisions).toBeGreaterThan(500);
		expect(finals).toBeGreaterThan(20);
	}, 300_000);
});
