import { join } from 'node:path';
import { createAuthenticate } from '#control-plane/authenticate.ts';
import type { Configuration } from '#control-plane/configuration.ts';
import { followClientKeys } from '#control-plane/follow-client-keys.ts';
import { openKeys, serviceJwks } from '#control-plane/keys.ts';
import { createMetrics } from '#control-plane/metrics.ts';
import { behindGauges } from '#stream/behind-gauges.ts';
import { wallClock } from '#stream/clock.ts';
import { databaseCatalogue } from '#stream/database-catalogue.ts';
import { openRedisOf } from '#stream/redis/open-redis-of.ts';
import { startIngestion } from '#stream/start-ingestion.ts';
import { lockDataDirectory } from '../lock.ts';
import type { Alone } from './alone.ts';
import { openSharedDatabase, openSharedLog } from './open-servers.ts';
import { patiently } from './patiently.ts';

/** The producers' door. Its memory of ids is its own: several on one machine need a data directory each. */
export async function startIngestionAlone(configuration: Configuration): Promise<Alone> {
	const { dataDir, keysDir, auth } = configuration;
	const lock = lockDataDirectory(dataDir, 'ingest');
	const database = await openSharedDatabase(configuration, 'ingestion');
	const log = await openSharedLog(configuration, 'ingestion');
	const keys = openKeys(keysDir);
	const clientKeys = await patiently('the control plane', () => followClientKeys(database.connection, { auth, keys }));
	const catalogue = databaseCatalogue(database.connection);
	await catalogue.refresh();
	const metrics = createMetrics();
	const redis = openRedisOf(configuration, { clock: wallClock, metrics });
	const behind = () => [...catalogue.behind(), ...(redis?.behind() ?? [])];
	behindGauges(metrics, behind);
	const ingestion = await startIngestion({
		configuration,
		log,
		directory: join(dataDir, 'ingest'),
		catalogue,
		clock: wallClock,
		pepper: keys.pepper.value,
		authenticate: createAuthenticate({
			clients: { issuer: auth.issuer, audience: auth.audience, jwks: clientKeys.jwks },
			serviceJwks: serviceJwks(keys),
		}),
		redis,
		metrics,
		behind,
	});
	catalogue.start();
	return {
		url: ingestion.url,
		async close() {
			await ingestion.close();
			catalogue.stop();
			clientKeys.stop();
			await log.close();
			await database.close();
			lock.release();
		},
	};
}
