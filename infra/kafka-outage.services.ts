// F12: the whole product while its broker is down, under load at every door. OUTAGE_SECONDS says for how long; 15 by default, 60 in the catalogue of faults.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { openDatabase } from '#control-plane/database/open-database.ts';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { limits } from '#schemas/limits.ts';
import type { PriceAnswer } from '#schemas/price.ts';
import { databaseCatalogue } from '#stream/database-catalogue.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import { random } from './city/random.ts';
import { account } from './drills/account.ts';
import { findConfiguration, findDecisions, findEvents } from './drills/find.ts';
import { emptyLedger } from './drills/ledger.ts';
import { openLoad } from './drills/load.ts';
import { finalsDiffer, refold } from './drills/refold.ts';
import { findFinals } from './find-finals.ts';
import { type Instance, startInstance } from './instance.ts';
import { sampleRuleSets } from './sample/rule-sets.ts';
import { freshDatabase } from './services/fresh.ts';
import { type KafkaBroker, startKafka } from './services/kafka.ts';
import { until } from './until.ts';

const SEED = Number(process.env['DRILL_SEED'] ?? Math.floor(Math.random() * 1e9));
const OUTAGE_MS = 1000 * Number(process.env['OUTAGE_SECONDS'] ?? 15);
const PARTITIONS = 4;
/** An id is remembered for so long and half a minute: what was refused although it is in the log must be sent again within that. */
const LATENESS_SECONDS = OUTAGE_MS / 1000;
const MINUTE_MS = 60_000;
/** Of the rules of New York in this test, so that an outage goes down the whole ladder. */
const STALENESS = { fresh_seconds: 4, stale_seconds: 9 };
const REGION = 'nyc-161';

const directory = mkdtempSync(join(tmpdir(), 'surgecast-outage-'));
let broker: KafkaBroker;
let database: Awaited<ReturnType<typeof freshDatabase>>;
let product: Instance;
beforeAll(async () => {
	console.log(`DRILL_SEED=${SEED}, down for ${OUTAGE_MS / 1000} s`);
	[broker, database] = await Promise.all([startKafka(join(directory, 'kafka')), freshDatabase(inject('postgres'))]);
	product = await startInstance({
		directory: join(directory, 'product'),
		env: { PARTITIONS: String(PARTITIONS), LOG_URL: broker.url, DATABASE_URL: database.url, LATENESS_SECONDS: String(LATENESS_SECONDS) },
	});
}, 240_000);
afterAll(async () => {
	if (product?.child.exitCode === null) await product.kill();
	await database?.drop();
	await broker?.stop();
	rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}, 60_000);

/** What the contract says of a price whose features are so old. */
const rung = (age_ms: number) => (age_ms <= STALENESS.fresh_seconds * 1000 ? 'priced' : age_ms <= STALENESS.stale_seconds * 1000 ? 'stale' : 'baseline');

async function price(): Promise<PriceAnswer> {
	const answer = await product.call('edge', 'POST', '/api/v1/price', { role: 'client', body: { region_id: REGION, product_type: 'standard_ride' } });
	expect([answer.status, answer.text]).toEqual([200, expect.stringContaining('decision_id')]);
	return answer.json;
}

test('no 2xx without durability while the broker is down, 503 with Retry-After, prices by the ladder; afterwards every event counts once and finals are those of a fold from zero (F12)', async () => {
	const document = { ...sampleRuleSets.find(({ name }) => name === 'nyc')!, staleness: STALENESS };
	const saved = await product.call('control', 'POST', '/api/v1/rule-sets', { role: 'author', body: document });
	expect((await product.call('control', 'POST', `/api/v1/rule-sets/${saved.json.version}/publish`, { role: 'operator' })).status).toBe(201);

	const ledger = emptyLedger();
	const load = openLoad(ledger, random(SEED));
	load.start(product);
	const fresh = await until('a fresh price', async () => {
		const answer = await price();
		return answer.status === 'priced' && ledger.events.size > 500 && answer;
	});

	await broker.kill();
	const died = performance.now();
	const seen = new Set<string>();
	const refused: string[] = [];
	let slowest_ms = 0;
	let probes = 0;
	const down = () => performance.now() - died < OUTAGE_MS;
	await Promise.all([
		// A producer of its own, that looks at the headers.
		(async () => {
			while (down()) {
				const event = { event_id: `refused-${refused.length}`, region_id: REGION, event_type: 'booking' } as const;
				ledger.events.set(event.event_id, { ...event, acknowledged: false });
				const began = performance.now();
				const answer = await fetch(`${product.urls.ingest}/api/v1/events`, {
					method: 'POST',
					headers: { authorization: `Bearer ${await product.token('producer')}`, 'content-type': 'application/json' },
					body: JSON.stringify(event),
				});
				slowest_ms = Math.max(slowest_ms, performance.now() - began);
				expect([answer.status, answer.headers.get('retry-after'), ((await answer.json()) as { code: string }).code]).toEqual([
					503,
					String(limits.retry_after_seconds),
					'unavailable',
				]);
				refused.push(event.event_id);
			}
		})(),
		(async () => {
			for (; down(); probes++) {
				const answer = await price();
				seen.add(answer.status);
				const as_of = answer.versions.features_as_of;
				expect([answer.status, answer.versions]).toEqual([rung(Date.parse(answer.decided_at) - Date.parse(as_of!)), answer.versions]);
				// Age never lifts a price.
				expect(answer.surge_multiplier).toBeLessThanOrEqual(Math.max(1, fresh.surge_multiplier, answer.status === 'priced' ? answer.surge_multiplier : 0));
				await new Promise((done) => setTimeout(done, 50));
			}
		})(),
	]);
	expect(refused.length).toBeGreaterThan(0);
	expect([...seen]).toEqual(['priced', 'stale', 'baseline']);
	expect((await product.call('ingest', 'GET', '/readyz')).status).toBe(503);

	await broker.start();
	await until('a fresh price again', async () => (await price()).status === 'priced', { within: 60_000 });
	await until('a door that is ready', async () => (await product.call('ingest', 'GET', '/readyz')).status === 200, { within: 60_000 });
	await load.end();
	await load.settle(product);
	for (const id of refused) {
		const { acknowledged: _, ...event } = ledger.events.get(id)!;
		await until('the resend', async () => (await product.call('ingest', 'POST', '/api/v1/events', { role: 'producer', body: event })).status === 202);
		ledger.events.get(id)!.acknowledged = true;
	}

	// Everything is acknowledged: the counts must be exact.
	const minute = Math.ceil((Date.now() + 1) / MINUTE_MS) * MINUTE_MS;
	const final = async () => {
		const { text } = await product.call('ingest', 'GET', '/metrics');
		return Number(/^surgecast_features_final_minute_seconds (\d+)/m.exec(text)?.[1]) * 1000 >= minute;
	};
	await until('the finals', final, { within: MINUTE_MS + LATENESS_SECONDS * 1000 + limits.stamp_to_append_ms_max + 20_000, every: 500 });
	const configuration = await findConfiguration(product, ledger);
	expect(await product.stop(), product.output().slice(-3000)).toBe(0);

	const log = await openKafkaLog(kafkaPlace(broker.url), { partitions: PARTITIONS, client_id: 'surgecast-test', onTrouble: console.warn });
	const opened = await openDatabase(database.url);
	try {
		const found = { ...configuration, ...(await findEvents(log)), decisions: await findDecisions(database.url) };
		const { lost, doubled, compared } = account(ledger, found);
		expect({ lost, doubled, unexpected: ledger.unexpected }).toEqual({ lost: [], doubled: [], unexpected: [] });
		const catalogue = databaseCatalogue(opened.connection);
		await catalogue.refresh();
		const finals = await findFinals(log);
		const wanted = await refold(log, { catalogue, lateness_ms: LATENESS_SECONDS * 1000, until: minute });
		expect(finalsDiffer(finals, wanted, minute)).toEqual([]);
		const regions = (of: Iterable<{ region_id: string }>) => [...new Set(Array.from(of, ({ region_id }) => region_id))].sort();
		expect(regions(finals.values())).toEqual(regions(ledger.events.values()));
		const times = `refused ${refused.length} one after another, the slowest answer ${Math.round(slowest_ms)} ms; ${probes} prices meanwhile`;
		console.log(`${times}; compared ${JSON.stringify(compared)}, ${finals.size} finals`);
	} finally {
		await log.close();
		await opened.close();
	}
}, 600_000);
