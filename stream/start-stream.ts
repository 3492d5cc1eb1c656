import type { Authenticate } from '#control-plane/authenticate.ts';
import type { Configuration } from '#control-plane/configuration.ts';
import { logLine } from '#control-plane/log-line.ts';
import { createMetrics } from '#control-plane/metrics.ts';
import type { Behind } from '#schemas/behind.ts';
import type { DecisionBatch } from '#schemas/decision.ts';
import type { FeatureCheckpoints } from '#schemas/feature-checkpoints.ts';
import { limits } from '#schemas/limits.ts';
import { behindGauges } from './behind-gauges.ts';
import type { Catalogue } from './catalogue.ts';
import type { Clock } from './clock.ts';
import type { EventLog } from './log/event-log.ts';
import { openFeatures } from './open-features.ts';
import { openRedisOf } from './redis/open-redis-of.ts';
import { startIngestion } from './start-ingestion.ts';
import { startSinks } from './start-sinks.ts';

/** The whole river in one process: feature worker, sinks and the producers' door, whose metrics and readiness tell of all three. */
export async function startStream(options: {
	configuration: Configuration;
	log: EventLog;
	checkpoints: FeatureCheckpoints;
	/** Directory of the door's memory of ids. */
	directory: string;
	catalogue: Catalogue;
	clock: Clock;
	pepper: string;
	authenticate: Authenticate;
	/** A token of role service, kind stream. */
	token: () => Promise<string>;
	edge_url: string;
	store: (batch: DecisionBatch) => Promise<unknown>;
}) {
	const { configuration, log, catalogue, clock } = options;
	const metrics = createMetrics();
	const redis = openRedisOf(configuration, { clock, metrics });
	const worker = await openFeatures({ ...options, redis, metrics });
	const resumed_from = worker.as_of();
	const sinks = await startSinks({ ...options, redis, metrics });
	const behind = (): Behind[] => [...worker.behind(), ...sinks.behind(), ...catalogue.behind(), ...(redis?.behind() ?? [])];
	behindGauges(metrics, behind);
	const ingestion = await startIngestion({ ...options, redis, metrics, behind });
	catalogue.start();
	if (!clock.virtual) worker.start();
	const expire = () => void log.expire(clock.now()).catch((error) => logLine('error', { what: `Old records stay: ${error.message}` }));
	expire();
	const expiry = setInterval(expire, limits.log_expire_ms);
	expiry.unref();
	return {
		url: ingestion.url,
		intake: ingestion.intake,
		worker,
		sinks,
		/** What the fold had come to when this start took over, milliseconds; 0 on an empty log. */
		resumed_from,
		/** Closes the door; what was taken is on its way. */
		stopTaking: () => ingestion.close(),
		/** After the door: what was taken is folded, told and saved; decisions are stored. */
		async close() {
			clearInterval(expiry);
			await worker.stop();
			await sinks.close();
			catalogue.stop();
			await log.close();
		},
	};
}
