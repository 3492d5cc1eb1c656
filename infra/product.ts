import { join } from 'node:path';
import type { Configuration } from '#control-plane/configuration.ts';
import { settleClockKind } from '#control-plane/database/clock-kind.ts';
import { storeDecisions } from '#control-plane/database/decisions.ts';
import { databaseCheckpoints } from '#control-plane/database/feature-checkpoints.ts';
import { openDatabase } from '#control-plane/database/open-database.ts';
import { createEdgeClient } from '#control-plane/edge-client.ts';
import { openKeys, serviceTokenSource } from '#control-plane/keys.ts';
import { logLine } from '#control-plane/log-line.ts';
import { seed } from '#control-plane/seed.ts';
import { startControlPlane } from '#control-plane/start-control-plane.ts';
import type { Clock } from '#stream/clock.ts';
import { databaseCatalogue } from '#stream/database-catalogue.ts';
import { openEmbeddedLog } from '#stream/log/embedded-log.ts';
import type { EventLog } from '#stream/log/event-log.ts';
import { startStream } from '#stream/start-stream.ts';
import { drainEdge, startEdge } from './edge.ts';
import { edgeBindings } from './edge-bindings.ts';
import { freePort } from './free-port.ts';
import { sampleChampion } from './sample/champion.ts';
import { sampleRegions } from './sample/regions.ts';
import { sampleRuleSets } from './sample/rule-sets.ts';

export type Product = Awaited<ReturnType<typeof startProduct>>;

/** The data directory's events are of another clock: real time and a replayed city must not mix in one fold. */
export class OtherClock extends Error {}

/** Port 0 is any free one. Edge and ingestion must know each other's before either listens. */
async function withPorts(configuration: Configuration): Promise<Configuration> {
	const edgePort = configuration.edgePort || (await freePort(configuration.host));
	const ingestPort = configuration.ingestPort || (await freePort(configuration.host));
	return { ...configuration, edgePort, ingestPort };
}

/**
 * Everything on this machine: database, log, edge, control plane, stream, in the order in which they need each other. The data directory is locked by
 * the caller. Ready when this resolves: every Shard has the release and the catalogue.
 */
export async function startProduct(given: Configuration, options: { clock: Clock }) {
	const { clock } = options;
	const configuration = await withPorts(given);
	const { dataDir, host, edgePort, ingestPort, partitions, auth } = configuration;
	const ingest_url = `http://${host}:${ingestPort}`;
	const clockKind = clock.virtual ? 'replay' : 'wall';
	const sameClock = (held: string | undefined, where: string): void => {
		if (held === undefined || held === clockKind) return;
		const use = clockKind === 'replay' ? 'for a replay' : 'on the wall clock';
		throw new OtherClock(
			`Cannot use ${where} ${use}: it holds events of the ${held} clock; give SURGECAST_DATA_DIR another directory, or others by their URLs`,
		);
	};
	const onTrouble = (text: string) => logLine('warn', { what: text });
	const embedded = configuration.kafka ? undefined : openEmbeddedLog(configuration.logPath ?? join(dataDir, 'log'), { partitions });
	if (embedded) {
		try {
			sameClock(embedded.clock.kind(), `data directory "${dataDir}"`);
		} catch (error) {
			await embedded.close();
			throw error;
		}
		embedded.clock.set(clockKind);
	}
	const keys = openKeys(configuration.keysDir);
	const [edge, database] = await Promise.all([
		startEdge({
			directory: join(dataDir, 'edge'),
			host,
			port: edgePort,
			bindings: edgeBindings(configuration, keys, { ingest_url, virtual: clock.virtual }),
			// Prices are what all this is for: whoever supervises this process starts the whole again.
			onLost: (cause) => {
				logLine('error', { what: 'The edge does not come back; ending', cause });
				process.exit(1);
			},
		}),
		openDatabase(configuration.database, { onTrouble }).then(async (opened) => {
			await seed(opened, {
				regions: sampleRegions({ profiles: !clock.virtual }),
				rule_sets: sampleRuleSets,
				champion: sampleChampion(),
				keys,
				now: clock.now(),
			});
			return opened;
		}),
	]);
	if (configuration.kafka) sameClock(await settleClockKind(database.connection, clockKind), 'this database');
	const log: EventLog =
		embedded ??
		(await import('#stream/log/kafka-log.ts').then(({ openKafkaLog }) =>
			openKafkaLog(configuration.kafka!, { partitions, client_id: 'surgecast', onTrouble }),
		));
	const controlToken = serviceTokenSource(keys, { kind: 'control-plane', audience: auth.audience });
	const controlPlane = await startControlPlane({
		configuration,
		keys,
		database,
		edge: createEdgeClient({ url: edge.url, token: controlToken }),
		clock: clock.now,
		keepsAll: clock.virtual,
	});
	await controlPlane.reconcileNow();
	const catalogue = databaseCatalogue(database.connection);
	await catalogue.refresh();
	const stream = await startStream({
		configuration,
		log,
		checkpoints: embedded?.checkpoints ?? databaseCheckpoints(database.connection),
		directory: join(dataDir, 'ingest'),
		catalogue,
		clock,
		pepper: keys.pepper.value,
		authenticate: controlPlane.authenticate,
		token: serviceTokenSource(keys, { kind: 'stream', audience: auth.audience }),
		edge_url: edge.url,
		store: (batch) => storeDecisions(database.connection, batch),
	});
	return {
		keys,
		catalogue,
		log,
		database,
		stream,
		urls: { edge: edge.url, control_plane: controlPlane.url, ingest: stream.url },
		bundles: edge.bundles,
		/** The doors first, then what they feed; the database and the log's file last. */
		async close() {
			await drainEdge(edge.url, controlToken);
			await stream.stopTaking();
			await controlPlane.close();
			await stream.close();
			await edge.close();
			await database.close();
		},
	};
}
