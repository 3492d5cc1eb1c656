import type { Authenticate } from '#control-plane/authenticate.ts';
import type { Configuration } from '#control-plane/configuration.ts';
import { logLine } from '#control-plane/log-line.ts';
import type { Metrics } from '#control-plane/metrics.ts';
import { serveDoor } from '#control-plane/serve-door.ts';
import type { Behind } from '#schemas/behind.ts';
import type { Catalogue } from './catalogue.ts';
import type { Clock } from './clock.ts';
import { countGauges } from './count-gauges.ts';
import { openDoorIds } from './ingest/door-ids.ts';
import { createIngestDoor } from './ingest/ingest-door.ts';
import { type Intake, openIntake } from './ingest/intake.ts';
import type { EventLog } from './log/event-log.ts';
import type { RedisClient } from './redis/redis-client.ts';
import { openSharedIds } from './redis/shared-ids.ts';

export interface Ingestion {
	url: string;
	intake: Intake;
	/** Closes the door; what was taken is in the log. */
	close(): Promise<void>;
}

/** The producers' door, through which the Outboxes' decisions come too. The catalogue and the log are the caller's to start and to close. */
export async function startIngestion(options: {
	configuration: Configuration;
	log: EventLog;
	/** Directory of the door's memory of ids: one process at a time. */
	directory: string;
	catalogue: Catalogue;
	clock: Clock;
	/** Keys the hashes of user and driver ids. */
	pepper: string;
	authenticate: Authenticate;
	/** Where several doors share their ids; none where there is none. */
	redis: RedisClient | undefined;
	metrics: Metrics;
	/** What lags or fails behind the door. */
	behind: () => readonly Behind[];
}): Promise<Ingestion> {
	const { configuration, log, catalogue, clock, pepper, redis, metrics } = options;
	const shared = redis && openSharedIds({ redis, pepper });
	const ids = openDoorIds(options.directory, { now: clock.now() });
	const intake = openIntake({
		log,
		ids,
		shared,
		catalogue,
		clock,
		pepper,
		events_per_minute: configuration.rateLimitEventsPerMinute ?? undefined,
		onTrouble: (text) => logLine('error', { what: text }),
	});
	for (const status of Object.keys(intake.counts) as (keyof typeof intake.counts)[])
		metrics.gauge(`surgecast_events_${status}`, { help: `Events answered ${status} since the start`, read: () => intake.counts[status] });
	if (shared) countGauges(metrics, 'shared_ids', { title: 'Ids shared between doors', counts: shared.counts });
	const app = createIngestDoor({ ...options, intake, readiness: () => null });
	const served = await serveDoor(app, { host: configuration.host, port: configuration.ingestPort });
	return {
		url: served.url,
		intake,
		async close() {
			await served.close();
			await intake.close();
			await shared?.close();
			ids.close();
		},
	};
}
