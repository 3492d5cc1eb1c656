import type { Configuration } from '#control-plane/configuration.ts';
import { databaseCheckpoints } from '#control-plane/database/feature-checkpoints.ts';
import { openKeys, serviceTokenSource } from '#control-plane/keys.ts';
import { createMetrics } from '#control-plane/metrics.ts';
import { behindGauges } from '#stream/behind-gauges.ts';
import { wallClock } from '#stream/clock.ts';
import { databaseCatalogue } from '#stream/database-catalogue.ts';
import { openFeatures } from '#stream/open-features.ts';
import { openRedisOf } from '#stream/redis/open-redis-of.ts';
import type { Alone } from './alone.ts';
import { openSharedDatabase, openSharedLog } from './open-servers.ts';
import { openStatusDoor } from './status-door.ts';

/** A feature worker: of several, each has its share of the partitions, and takes over from those that end. It keeps nothing on this machine. */
export async function startFeatureWorkerAlone(configuration: Configuration): Promise<Alone> {
	const database = await openSharedDatabase(configuration, 'feature-worker');
	const log = await openSharedLog(configuration, 'feature-worker');
	const keys = openKeys(configuration.keysDir);
	const catalogue = databaseCatalogue(database.connection);
	await catalogue.refresh();
	const metrics = createMetrics();
	const redis = openRedisOf(configuration, { clock: wallClock, metrics });
	const worker = await openFeatures({
		configuration,
		log,
		checkpoints: databaseCheckpoints(database.connection),
		catalogue,
		clock: wallClock,
		token: serviceTokenSource(keys, { kind: 'stream', audience: configuration.auth.audience }),
		edge_url: configuration.edgeUrl,
		redis,
		metrics,
	});
	const behind = () => [...worker.behind(), ...catalogue.behind(), ...(redis?.behind() ?? [])];
	behindGauges(metrics, behind);
	const door = await openStatusDoor(configuration, { title: 'surgecast feature worker', metrics, behind });
	catalogue.start();
	worker.start();
	return {
		url: door.url,
		async close() {
			await worker.stop();
			catalogue.stop();
			await door.close();
			await log.close();
			await database.close();
		},
	};
}
