import type { JSONWebKeySet } from 'jose';
import { limits } from '#schemas/limits.ts';
import type { ClientKeys } from '#schemas/release.ts';
import { openAnalytics } from './analytics.ts';
import { createApp } from './app.ts';
import { type Authenticate, createAuthenticate } from './authenticate.ts';
import { fetchJwks } from './client-keys.ts';
import type { Configuration } from './configuration.ts';
import { keepClientKeys, readClientKeys } from './database/client-keys.ts';
import type { Database } from './database/database.ts';
import type { DoorApp } from './door.ts';
import type { Edge } from './edge.ts';
import { type Keys, localJwks, serviceJwks } from './keys.ts';
import { errorText, logLine } from './log-line.ts';
import { createMetrics } from './metrics.ts';
import { createPublishing, type Publishing } from './publishing.ts';
import { createReconciler, type Reconciler } from './reconcile.ts';
import { createRetention } from './retention.ts';
import { serveDoor } from './serve-door.ts';

export interface ControlPlane {
	app: DoorApp;
	url: string;
	port: number;
	/** Verifies tokens as this door does: the ingestion door in the same process may share it. */
	authenticate: Authenticate;
	publishing: Publishing;
	/** Sends the edge what it lacks; at a start with an empty edge: everything. */
	reconcileNow: Reconciler['reconcileNow'];
	/** Finishes requests and pushes in flight. The database stays open: it is its opener's to close. */
	close(): Promise<void>;
}

export interface ControlPlaneOptions {
	configuration: Configuration;
	keys: Keys;
	database: Database;
	edge: Edge;
	/** The deployment clock, milliseconds since 1970; the wall clock when left out. */
	clock?: () => number;
	/** Whether old decisions stay: a replayed city is a study, and its clock runs through the retention within the hour. */
	keepsAll?: boolean;
}

/**
 * Starts the control plane in this process: its door listens when this resolves, and the reconciler runs. The edge need not be there yet.
 * @throws when the port is taken, or when the keys of an external issuer were never fetched and cannot be now.
 */
export async function startControlPlane({
	configuration,
	keys,
	database,
	edge,
	clock = Date.now,
	keepsAll = false,
}: ControlPlaneOptions): Promise<ControlPlane> {
	const { connection } = database;
	const { partitions, host, auth } = configuration;
	let clientKeys = await firstClientKeys();
	let jwks = clientKeys.jwks as JSONWebKeySet;

	async function firstClientKeys(): Promise<ClientKeys> {
		try {
			return await fetchClientKeys();
		} catch (error) {
			const last = await readClientKeys(connection);
			if (last?.issuer !== auth.issuer || last.audience !== auth.audience) throw error;
			logLine('warn', { what: "The issuer's keys are those of an earlier run", error: errorText(error) });
			return last;
		}
	}

	async function fetchClientKeys(): Promise<ClientKeys> {
		const fetched = auth.jwksUrl === null ? localJwks(keys) : await fetchJwks(auth.jwksUrl);
		return keepClientKeys(connection, { issuer: auth.issuer, audience: auth.audience, jwks: fetched });
	}

	const publishing = createPublishing({ connection, edge, keys, clientKeys: () => clientKeys, partitions, onIncomplete: () => reconciler.soon() });
	const reconciler = createReconciler({ connection, edge, publishing, clientKeys: () => clientKeys, partitions });
	const retention = createRetention({ connection, clock });
	const authenticate = createAuthenticate({
		clients: { issuer: auth.issuer, audience: auth.audience, jwks: () => jwks },
		serviceJwks: serviceJwks(keys),
	});
	const analytics = configuration.clickhouse && openAnalytics(configuration.clickhouse);
	const metrics = createMetrics();
	metrics.gauge('surgecast_behind', {
		help: 'Shards, KV or rounds that lack what the database has, as GET /readyz lists them',
		read: () => reconciler.behind().length,
	});
	metrics.gauge('surgecast_behind_seconds', { help: 'The longest of it', read: () => Math.max(0, ...reconciler.behind().map(({ seconds }) => seconds)) });
	metrics.gauge('surgecast_edge_in_step_timestamp_seconds', {
		help: 'When the whole edge was last in step with the database, seconds since 1970; 0: not since the start',
		read: () => (reconciler.inStepAt() ?? 0) / 1000,
	});
	const app = createApp({
		connection,
		edge,
		publishing,
		reconciler,
		partitions,
		clock,
		analytics,
		authenticate,
		metrics,
		clientKeys: () => clientKeys,
	});
	const served = await serveDoor(app, { host, port: configuration.controlPlanePort });
	reconciler.start();
	if (!keepsAll) retention.start();

	const refreshKeys = async (): Promise<void> => {
		try {
			const fetched = await fetchClientKeys();
			if (fetched.version === clientKeys.version) return;
			clientKeys = fetched;
			jwks = fetched.jwks as JSONWebKeySet;
			reconciler.soon();
		} catch (error) {
			logLine('warn', { what: "The issuer's keys could not be fetched; the last ones stay in force", error: errorText(error) });
		}
	};
	const refreshing = auth.jwksUrl === null ? undefined : setInterval(() => void refreshKeys(), limits.jwks_refresh_ms).unref();

	return {
		app,
		url: served.url,
		port: served.port,
		authenticate,
		publishing,
		reconcileNow: () => reconciler.reconcileNow(),
		async close() {
			clearInterval(refreshing);
			// The door first: what it still answers may push, and a push may ask for a round.
			await served.close();
			await publishing.settled();
			await reconciler.stop();
			await retention.stop();
			await analytics?.close();
		},
	};
}
