import type { Configuration } from '#control-plane/configuration.ts';
import { logLine } from '#control-plane/log-line.ts';
import type { Metrics } from '#control-plane/metrics.ts';
import type { FeatureCheckpoints } from '#schemas/feature-checkpoints.ts';
import type { Catalogue } from './catalogue.ts';
import type { Clock } from './clock.ts';
import { countGauges } from './count-gauges.ts';
import { type FeatureWorker, openFeatureWorker } from './features/feature-worker.ts';
import { frameClient } from './features/frame-client.ts';
import type { EventLog } from './log/event-log.ts';
import { openFeatureMirror } from './redis/feature-mirror.ts';
import type { RedisClient } from './redis/redis-client.ts';

/** A feature worker with its metrics. Its caller starts it, or steps it on a city's clock. */
export async function openFeatures(options: {
	configuration: Configuration;
	log: EventLog;
	checkpoints: FeatureCheckpoints;
	catalogue: Catalogue;
	clock: Clock;
	/** A token of role service, kind stream. */
	token: () => Promise<string>;
	edge_url: string;
	/** Where the features are mirrored; none where there is none. */
	redis: RedisClient | undefined;
	metrics: Metrics;
}): Promise<FeatureWorker> {
	const { configuration, log, checkpoints, catalogue, clock, token, edge_url, redis, metrics } = options;
	const mirror = redis && openFeatureMirror({ redis });
	const worker = await openFeatureWorker({
		log,
		checkpoints,
		catalogue,
		clock,
		edge: frameClient({ url: edge_url, token }),
		mirror,
		lateness_ms: configuration.latenessSeconds * 1000,
		push_interval_ms: configuration.pushIntervalMs,
		onTrouble: (text) => logLine('error', { what: text }),
	});
	countGauges(metrics, 'features', { title: 'Feature worker', counts: worker.counts });
	if (mirror) countGauges(metrics, 'mirror', { title: 'Mirror of features', counts: mirror.counts });
	metrics.gauge('surgecast_features_partitions', { help: 'Partitions that this worker owns', read: () => worker.partitions().length });
	metrics.gauge('surgecast_features_lag_seconds', {
		help: 'How far the fold is behind the deployment clock',
		read: () => Math.max(0, clock.now() - worker.as_of()) / 1000,
	});
	metrics.gauge('surgecast_features_final_minute_seconds', {
		help: 'The last minute whose finals every partition has made, seconds since 1970',
		read: () => worker.final_minute() / 1000,
	});
	metrics.gauge('surgecast_features_trouble', { help: '1 while a partition is not folded, told or saved', read: () => (worker.trouble() === null ? 0 : 1) });
	return {
		...worker,
		async stop() {
			await worker.stop();
			await mirror?.close();
		},
	};
}
