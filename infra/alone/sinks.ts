import type { Configuration } from '#control-plane/configuration.ts';
import { storeDecisions } from '#control-plane/database/decisions.ts';
import { createMetrics } from '#control-plane/metrics.ts';
import { behindGauges } from '#stream/behind-gauges.ts';
import { wallClock } from '#stream/clock.ts';
import { openRedisOf } from '#stream/redis/open-redis-of.ts';
import { startSinks } from '#stream/start-sinks.ts';
import type { Alone } from './alone.ts';
import { openSharedDatabase, openSharedLog } from './open-servers.ts';
import { openStatusDoor } from './status-door.ts';

/** What moves the log's records into stores: of several, each has its share of the partitions. */
export async function startSinksAlone(configuration: Configuration): Promise<Alone> {
	const database = await openSharedDatabase(configuration, 'sinks');
	const log = await openSharedLog(configuration, 'sinks');
	const metrics = createMetrics();
	const redis = openRedisOf(configuration, { clock: wallClock, metrics });
	const sinks = await startSinks({ configuration, log, clock: wallClock, store: (batch) => storeDecisions(database.connection, batch), redis, metrics });
	const behind = () => [...sinks.behind(), ...(redis?.behind() ?? [])];
	behindGauges(metrics, behind);
	const door = await openStatusDoor(configuration, { title: 'surgecast sinks', metrics, behind });
	return {
		url: door.url,
		async close() {
			await sinks.close();
			await door.close();
			await log.close();
			await database.close();
		},
	};
}
