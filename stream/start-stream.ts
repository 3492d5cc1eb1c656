import type { Authenticate } from '#control-plane/authenticate.ts';
import type { Configuration } from '#control-plane/configuration.ts';
import { logLine } from '#control-plane/log-line.ts';
import { createMetrics } from '#control-plane/metrics.ts';
import { serveDoor } from '#control-plane/serve-door.ts';
import type { DecisionBatch } from '#schemas/decision.ts';
import type { FeatureCheckpoints } from '#schemas/feature-checkpoints.ts';
import { limits } from '#schemas/limits.ts';
import type { Catalogue } from './catalogue.ts';
import type { Clock } from './clock.ts';
import { openFeatureWorker } from './features/feature-worker.ts';
import { frameClient } from './features/frame-client.ts';
import { openDoorIds } from './ingest/door-ids.ts';
import { createIngestDoor } from './ingest/ingest-door.ts';
import { openIntake } from './ingest/intake.ts';
import type { EventLog } from './log/event-log.ts';
import { openDecisionSink } from './sinks/decision-sink.ts';

/** The river in one process: the producers' door, the feature worker and the sink of decisions. */
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
	const { configuration, log, catalogue, clock, authenticate, token } = options;
	const onTrouble = (text: string) => logLine('error', { what: text });
	const ids = openDoorIds(options.directory, { now: clock.now() });
	const intake = openIntake({
		log,
		ids,
		catalogue,
		clock,
		pepper: options.pepper,
		events_per_minute: configuration.rateLimitEventsPerMinute ?? undefined,
		onTrouble,
	});
	const metrics = createMetrics();
	const worker = await openFeatureWorker({
		log,
		checkpoints: options.checkpoints,
		catalogue,
		clock,
		edge: frameClient({ url: options.edge_url, token }),
		lateness_ms: configuration.latenessSeconds * 1000,
		push_interval_ms: configuration.pushIntervalMs,
		onTrouble,
	});
	const sink = await openDecisionSink({ log, store: options.store, onTrouble });
	for (const [name, read] of Object.entries(intake.counts).map(([status]) => [status, () => intake.counts[status as keyof typeof intake.counts]] as const))
		metrics.gauge(`surgecast_events_${name}`, { help: `Events answered ${name} since the start`, read });
	for (const name of Object.keys(worker.counts) as (keyof typeof worker.counts)[])
		metrics.gauge(`surgecast_features_${name}`, { help: `Feature worker: ${name} since the start`, read: () => worker.counts[name] });
	for (const name of Object.keys(sink.counts) as (keyof typeof sink.counts)[])
		metrics.gauge(`surgecast_decisions_${name}`, { help: `Decision sink: ${name} since the start`, read: () => sink.counts[name] });
	metrics.gauge('surgecast_features_lag_seconds', {
		help: 'How far the fold is behind the deployment clock',
		read: () => Math.max(0, clock.now() - worker.as_of()) / 1000,
	});
	metrics.gauge('surgecast_features_final_minute_seconds', {
		help: 'The last minute whose finals every partition has made, seconds since 1970',
		read: () => worker.final_minute() / 1000,
	});
	metrics.gauge('surgecast_features_trouble', { help: '1 while a partition is not folded, told or saved', read: () => (worker.trouble() === null ? 0 : 1) });
	const behind = () => [...worker.behind(), ...sink.behind(), ...catalogue.behind()];
	metrics.gauge('surgecast_behind', { help: 'What lags or fails behind the door, as GET /readyz lists it', read: () => behind().length });
	metrics.gauge('surgecast_behind_seconds', { help: 'The longest of it', read: () => Math.max(0, ...behind().map(({ seconds }) => seconds)) });
	const app = createIngestDoor({ intake, log, clock, authenticate, metrics, readiness: () => null, behind });
	const served = await serveDoor(app, { host: configuration.host, port: configuration.ingestPort });
	catalogue.start();
	const resumed_from = worker.as_of();
	if (!clock.virtual) worker.start();
	sink.start();
	const expire = () => void log.expire(clock.now()).catch((error) => onTrouble(`Old records stay: ${error.message}`));
	expire();
	const expiry = setInterval(expire, limits.log_expire_ms);
	expiry.unref();
	return {
		url: served.url,
		intake,
		worker,
		sink,
		/** What the fold had come to when this start took over, milliseconds; 0 on an empty log. */
		resumed_from,
		/** Closes the door; what was taken is on its way. */
		async stopTaking() {
			await served.close();
			await intake.close();
		},
		/** After the door: what was taken is folded, told and saved; decisions are stored. */
		async close() {
			clearInterval(expiry);
			await worker.stop();
			await sink.drain(limits.sink_drain_ms);
			await sink.stop();
			catalogue.stop();
			ids.close();
			await log.close();
		},
	};
}
