// The feature worker on a real Kafka beside a naive consumer of the same events, a steady 50,000 events a second, and how old a price is by way of Kafka.
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { featureIndex } from '#schemas/feature.ts';
import { partition } from '#schemas/partition.ts';
import { encodeEvent } from '#stream/avro/codec.ts';
import { kafkaClient } from '#stream/log/kafka-client.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import { findFinals } from '../find-finals.ts';
import { dropTopics, freshDatabase } from '../services/fresh.ts';
import { type KafkaBroker, startKafka } from '../services/kafka.ts';
import { startPostgres } from '../services/postgres.ts';
import type { Service } from '../services/service.ts';
import type { BenchResult } from './bench-result.ts';
import { freshness } from './freshness.ts';
import { EVENTS_A_SECOND, eventOf, LATENESS_MS, START, type Work, type Worked } from './kafka/work.ts';
import { median, percentile, table } from './table.ts';

const ROUNDS = 3;
const PARTITIONS = 4;
const REGIONS = 1000;
const EVENTS = 2_880_000; // half of them bookings
const PORTION = 5000;
const STEADY_A_SECOND = 50_000;
const STEADY_SECONDS = 60;
const JSON_TOPIC = 'bench-json';
const MINUTE_MS = 60_000;
/** Everything is final by then. */
const NOW = Math.ceil((START + (EVENTS / EVENTS_A_SECOND) * 1000) / MINUTE_MS) * MINUTE_MS + LATENESS_MS + 2 * MINUTE_MS;

/** A child process with this work; its profile goes to BENCH_CPU_PROF where that is set. */
function child(name: 'fold' | 'naive' | 'produce', work: Work) {
	const profile = process.env['BENCH_CPU_PROF'] ? ['--cpu-prof', `--cpu-prof-dir=${process.env['BENCH_CPU_PROF']}`, `--cpu-prof-name=${name}.cpuprofile`] : [];
	const quiet = '--disable-warning=TimeoutNegativeWarning'; // the client as it is installed warns of a timer that the product mends
	const process_ = spawn(process.execPath, [quiet, ...profile, join(import.meta.dirname, `kafka/${name}.ts`), JSON.stringify(work)], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	let output = '';
	let hear: () => void = () => undefined;
	const ready = new Promise<void>((resolve) => (hear = resolve));
	process_.stdout.on('data', (chunk) => {
		output += chunk;
		if (output.startsWith('ready')) hear();
	});
	const worked = new Promise<Worked>((resolve, reject) => {
		process_.once('close', (code) => (code === 0 ? resolve(JSON.parse(output.trim().split('\n').at(-1)!)) : reject(new Error(`${name} ended with ${code}`))));
	});
	worked.catch(() => hear());
	return { ready, worked };
}

/** Every event in both forms, each under its region's partition. */
async function produce(kafka: string): Promise<void> {
	const admin = kafkaClient(kafkaPlace(kafka), { clientId: 'bench' }).admin();
	await admin.connect();
	if ((await admin.listTopics()).includes(JSON_TOPIC)) await admin.deleteTopics({ topics: [JSON_TOPIC] });
	while ((await admin.listTopics()).includes(JSON_TOPIC));
	await admin.createTopics({ waitForLeaders: true, topics: [{ topic: JSON_TOPIC, numPartitions: PARTITIONS, replicationFactor: 1 }] });
	await admin.disconnect();
	const log = await openKafkaLog(kafkaPlace(kafka), { partitions: PARTITIONS, client_id: 'surgecast-bench', onTrouble: console.error });
	const peer = kafkaClient(kafkaPlace(kafka), { clientId: 'bench' }).producer({ idempotent: true });
	await peer.connect();
	const places = new Map(Array.from({ length: REGIONS }, (_, i) => [`r-${i}`, partition(`r-${i}`, PARTITIONS)]));
	for (let at = 0; at < EVENTS; at += PORTION) {
		const events = Array.from({ length: PORTION }, (_, i) => eventOf(at + i, { regions: REGIONS })).map((event) => ({
			event,
			place: places.get(event.region_id)!,
		}));
		await log.append(
			events.map(({ event, place }) => ({ topic: 'user-events', partition: place, key: event.region_id, value: encodeEvent(event), timestamp: 1 })),
		);
		for (let place = 0; place < PARTITIONS; place++) {
			// As a producer would send it: without the fields that say nothing.
			const messages = events
				.filter((one) => one.place === place)
				.map(({ event }) => ({ partition: place, key: event.region_id, value: JSON.stringify(event, (_, value) => value ?? undefined) }));
			await peer.send({ topic: JSON_TOPIC, acks: -1, messages });
		}
	}
	await peer.disconnect();
	await log.close();
}

/** Bookings by region and minute, as the finals say. */
async function finalBookings(kafka: string): Promise<Map<string, number>> {
	const log = await openKafkaLog(kafkaPlace(kafka), { partitions: PARTITIONS, client_id: 'surgecast-bench', onTrouble: console.error });
	const finals = await findFinals(log).finally(() => log.close());
	return new Map(
		[...finals.values()].map(({ region_id, as_of, values }) => [`${region_id} ${as_of - MINUTE_MS}`, values[featureIndex.booking_count_1min] ?? 0] as const),
	);
}

/** @throws when the two have not counted the same. */
function assertEqual(finals: ReadonlyMap<string, number>, naive: readonly [string, number][]): void {
	const peer = new Map(naive);
	let bookings = 0;
	for (const key of new Set([...finals.keys(), ...peer.keys()])) {
		const [a, b] = [finals.get(key) ?? 0, peer.get(key) ?? 0];
		if (a !== b) throw new Error(`Cannot trust this run: bookings of ${key} are ${a} in the finals and ${b} by the peer`);
		bookings += a;
	}
	if (bookings !== EVENTS / 2) throw new Error(`Cannot trust this run: ${bookings} bookings of ${EVENTS / 2}`);
}

export async function bench(args: string[]): Promise<BenchResult> {
	const wanted = (part: string) => args.length === 0 || args.includes(part);
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-bench-kafka-'));
	chmodSync(directory, 0o755); // PostgreSQL's own user must get in
	const started: Service[] = [];
	const figures: Record<string, number> = {};
	let broker: KafkaBroker | undefined;
	try {
		if (!process.env['TEST_KAFKA_URL']) {
			broker = await startKafka(join(directory, 'kafka'));
			started.push(broker);
		}
		const kafka = broker?.url ?? process.env['TEST_KAFKA_URL']!;
		let postgres = process.env['TEST_POSTGRES_URL'];
		if (!postgres) {
			const service = await startPostgres(join(directory, 'postgres'));
			started.push(service);
			postgres = service.url;
		}
		const server = postgres;
		/** Processor time of a broker that was started here; NaN of another. */
		const brokerCpu = async <T>(work: () => Promise<T>): Promise<[T, number]> => {
			const before = broker?.cpuSeconds() ?? Number.NaN;
			const answer = await work();
			return [answer, (broker?.cpuSeconds() ?? Number.NaN) - before];
		};
		const fresh = async <T>(work: (database: string) => Promise<T>): Promise<T> => {
			const database = await freshDatabase(server);
			return work(database.url).finally(() => database.drop());
		};
		const plan: Omit<Work, 'database'> = {
			...{ kafka, result: join(directory, 'naive.json'), json_topic: JSON_TOPIC, partitions: PARTITIONS, regions: REGIONS },
			...{ events: EVENTS, now: NOW, rate: STEADY_A_SECOND },
		};

		if (wanted('peer')) {
			await dropTopics(kafka);
			await produce(kafka);
			const ways = {
				fold: () => fresh((database) => child('fold', { ...plan, database }).worked),
				naive: () => child('naive', { ...plan, database: '' }).worked,
			};
			const rates = { fold: [] as number[], naive: [] as number[] };
			const cpus = { fold: [] as number[], naive: [] as number[] };
			const ratios: number[] = [];
			for (let round = 0; round <= ROUNDS; round++) {
				const order = round % 2 === 0 ? (['fold', 'naive'] as const) : (['naive', 'fold'] as const);
				for (const name of order) {
					const [{ events, cpu_seconds }, broker_seconds] = await brokerCpu(ways[name]);
					rates[name].push(events / cpu_seconds);
					cpus[name].push(broker_seconds);
				}
				if (round === 0) {
					// The first only shows that both count the same.
					assertEqual(await finalBookings(kafka), JSON.parse(readFileSync(plan.result, 'utf8')));
					for (const list of [...Object.values(rates), ...Object.values(cpus)]) list.length = 0;
				} else ratios.push(rates.fold.at(-1)! / rates.naive.at(-1)!);
			}
			const row = (what: string, name: keyof typeof rates) => [
				what,
				median(rates[name]),
				Math.min(...rates[name]),
				Math.max(...rates[name]),
				median(cpus[name]),
			];
			console.log(
				table([
					[`${EVENTS} events, ${REGIONS} regions, ${ROUNDS} rounds, counts equal`, 'events/CPU-s', 'min', 'max', "broker's CPU-s"],
					row('feature worker, checkpoints in PostgreSQL', 'fold'),
					row('naive: eachMessage, JSON, Maps', 'naive'),
				]),
			);
			console.log(`ratio, the median of ${ROUNDS}: ${median(ratios).toFixed(2)} (${ratios.map((ratio) => ratio.toFixed(2)).join(', ')})`);
			figures['events_per_cpu_second'] = Math.round(median(rates.fold));
			figures['naive_events_per_cpu_second'] = Math.round(median(rates.naive));
			figures['ratio'] = Number(median(ratios).toFixed(2));
			// The finals must go with the events, or the next bench would meet finals of others.
			await dropTopics(kafka);
		}

		if (wanted('steady')) {
			const work = { ...plan, events: STEADY_A_SECOND * STEADY_SECONDS, now: null };
			await fresh(async (database) => {
				await dropTopics(kafka);
				const folding = child('fold', { ...work, database });
				await folding.ready;
				const [[produced, folded], broker_seconds] = await brokerCpu(() => Promise.all([child('produce', { ...work, database }).worked, folding.worked]));
				const reached = produced.events / produced.seconds;
				const cores = folded.cpu_seconds / folded.seconds;
				const [p50, p99] = [percentile(folded.lags, 0.5), percentile(folded.lags, 0.99)];
				console.log(
					table([
						[`${work.events} events at ${STEADY_A_SECOND} a second wanted`, 'events/s', 'lag p50 ms', 'p99', 'max', 'cores: worker', 'producer', 'broker'],
						[
							'through the feature worker',
							...[reached, p50, p99, Math.max(...folded.lags), cores, produced.cpu_seconds / produced.seconds, broker_seconds / produced.seconds],
						],
					]),
				);
				figures['steady_events_per_second'] = Math.round(reached);
				figures['steady_lag_p99_ms'] = Math.round(p99);
				figures['steady_worker_cores'] = Number(cores.toFixed(2));
			});
			await dropTopics(kafka);
		}

		if (wanted('freshness')) {
			const taken = { kafka: [] as number[], embedded: [] as number[] };
			for (const name of ['embedded', 'kafka'] as const)
				taken[name] = await (name === 'embedded' ? freshness() : fresh((database) => freshness({ LOG_URL: kafka, DATABASE_URL: database })));
			console.log(
				table([
					['from POST to a price that reflects it', 'p50 ms', 'p99 ms'],
					...Object.entries(taken).map(([name, list]) => [name, percentile(list, 0.5), percentile(list, 0.99)]),
				]),
			);
			figures['freshness_p50_ms'] = Math.round(percentile(taken.kafka, 0.5));
			figures['freshness_p99_ms'] = Math.round(percentile(taken.kafka, 0.99));
			figures['freshness_embedded_p50_ms'] = Math.round(percentile(taken.embedded, 0.5));
			figures['freshness_embedded_p99_ms'] = Math.round(percentile(taken.embedded, 0.99));
			await dropTopics(kafka);
		}
		return { name: 'kafka', figures };
	} finally {
		for (const service of started) await service.stop();
		rmSync(directory, { recursive: true, force: true });
	}
}
