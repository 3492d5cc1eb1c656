import type { Configuration } from '#control-plane/configuration.ts';
import { logLine } from '#control-plane/log-line.ts';
import type { Metrics } from '#control-plane/metrics.ts';
import type { Behind } from '#schemas/behind.ts';
import type { DecisionBatch } from '#schemas/decision.ts';
import { limits } from '#schemas/limits.ts';
import { causeOf } from './cause-of.ts';
import type { Clock } from './clock.ts';
import { countGauges } from './count-gauges.ts';
import type { EventLog } from './log/event-log.ts';
import { openOfflineSink } from './offline/offline-sink.ts';
import { openFileStore } from './offline/open-file-store.ts';
import { openPriceCache } from './redis/price-cache.ts';
import type { RedisClient } from './redis/redis-client.ts';
import { openClickHouseSink } from './sinks/clickhouse-sink.ts';
import { type DecisionSink, openDecisionSink } from './sinks/decision-sink.ts';
import type { Sink } from './sinks/sink.ts';

export interface Sinks {
	decisions: DecisionSink;
	/** The first trouble of any of them, null while all is well. */
	trouble(): string | null;
	behind(): Behind[];
	/** Resolves when everything that is in the log now is stored everywhere, or after `wait_ms`. */
	drain(wait_ms: number): Promise<void>;
	/** Stores what is in the log now, as far as that goes within limits.sink_drain_ms, and ends. */
	close(): Promise<void>;
}

/**
 * What moves the log's records into stores: decisions into Postgres, finals into the offline store, all of it into ClickHouse and prices into Redis,
 * where there are such.
 */
export async function startSinks(options: {
	log: EventLog;
	clock: Clock;
	store: (batch: DecisionBatch) => Promise<unknown>;
	/** Where prices are kept for partners to look up; none where there is none. */
	redis: RedisClient | undefined;
	configuration: Pick<Configuration, 'clickhouse' | 'offlineStore'>;
	metrics: Metrics;
}): Promise<Sinks> {
	const { log, clock, store, redis, metrics } = options;
	const { clickhouse, offlineStore } = options.configuration;
	const onTrouble = (text: string) => logLine('error', { what: text });
	const all: Sink[] = [];
	/** @param part names it in the metrics, `title` in their help. */
	function add<S extends Sink>(part: string, title: string, sink: S): S {
		countGauges(metrics, part, { title, counts: sink.counts });
		metrics.gauge(`surgecast_${part}_waiting_records`, { help: `${title}: records in the log that it has yet to move`, read: () => sink.lag().records });
		metrics.gauge(`surgecast_${part}_lag_seconds`, {
			help: `${title}: how old the log's end was of which it has all`,
			read: () => Math.max(0, (Date.now() - sink.lag().since) / 1000),
		});
		all.push(sink);
		return sink;
	}
	const decisions = add('decisions', 'Decision sink', await openDecisionSink({ log, store, onTrouble }));
	add('offline', 'Offline store', await openOfflineSink({ log, store: openFileStore(offlineStore), onTrouble }));
	if (clickhouse) add('history', 'History in ClickHouse', await openClickHouseSink({ place: clickhouse, log, onTrouble }));
	if (redis) add('price_cache', 'Price cache', await openPriceCache({ log, redis, clock, onTrouble }));
	for (const sink of all) sink.start();
	return {
		decisions,
		trouble: () => all.map((sink) => sink.trouble()).find((trouble) => trouble !== null) ?? null,
		behind: () => all.flatMap((sink) => sink.behind()),
		async drain(wait_ms) {
			await Promise.all(all.map((sink) => sink.drain(wait_ms)));
		},
		async close() {
			await Promise.all(
				all.map(async (sink) => {
					// A log that does not answer must not keep a sink from its end: what it moved is stored, the rest waits there.
					await sink.drain(limits.sink_drain_ms).catch((error) => onTrouble(`A sink ends before it has moved all: ${causeOf(error)}`));
					await sink.stop();
				}),
			);
		},
	};
}
