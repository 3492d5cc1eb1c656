// The product's feature worker, with its checkpoints in PostgreSQL and an edge that takes every frame at once.
import { databaseCheckpoints } from '#control-plane/database/feature-checkpoints.ts';
import { openDatabase } from '#control-plane/database/open-database.ts';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { openCatalogue } from '#stream/catalogue.ts';
import { openFeatureWorker } from '#stream/features/feature-worker.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import { done, entriesOf, LATENESS_MS, workOf } from './work.ts';

const { kafka, database, partitions, regions, events, now } = workOf();
const opened = await openDatabase(database);
const log = await openKafkaLog(kafkaPlace(kafka), { partitions, client_id: 'surgecast-bench', onTrouble: console.error });
const catalogue = openCatalogue(async () => entriesOf(regions));
await catalogue.refresh();
const began = performance.now();
const before = process.cpuUsage();
const worker = await openFeatureWorker({
	log,
	checkpoints: databaseCheckpoints(opened.connection),
	catalogue,
	clock: { now: () => now ?? Date.now(), virtual: false },
	edge: {
		push: async (frames) => frames.map(({ shard, epoch, seq }) => ({ shard, epoch, seq, taken: true, whole_wanted: false, unknown: [] })),
	},
	lateness_ms: LATENESS_MS,
	push_interval_ms: 1000,
	onTrouble: (text) => console.error(text),
});
worker.start();
if (now === null) console.log('ready');
const lags: number[] = [];
while (worker.counts.folded < events) {
	await new Promise((resolve) => setTimeout(resolve, now === null ? 250 : 5));
	lags.push(Date.now() - worker.as_of());
}
if (now !== null) while (worker.final_minute() < now - LATENESS_MS - 60_000) await new Promise((resolve) => setTimeout(resolve, 5));
await worker.stop();
const { user, system } = process.cpuUsage(before);
const seconds = (performance.now() - began) / 1000;
const { folded, duplicates, late, dead, checkpoint_failures } = worker.counts;
if (folded !== events || duplicates + late + dead + checkpoint_failures > 0) throw new Error(`Cannot trust this run: ${JSON.stringify(worker.counts)}`);
await log.close();
await opened.close();
done({ events: folded, cpu_seconds: (user + system) / 1e6, seconds, lags: now === null ? lags : [] });
