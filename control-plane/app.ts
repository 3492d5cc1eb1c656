import { controlPlaneInternalRoutes, controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import { edgeRoutes } from '#schemas/edge-routes.ts';
import { ingestRoutes } from '#schemas/ingest-routes.ts';
import type { ClientKeys } from '#schemas/release.ts';
import type { Authenticate } from './authenticate.ts';
import { docsHeaders, docsPage } from './docs-page.ts';
import { createDoor, type DoorApp, type Handler, type Handlers } from './door.ts';
import { analyticsHandlers } from './handlers/analytics.ts';
import { decisionHandlers } from './handlers/decisions.ts';
import { modelHandlers } from './handlers/models.ts';
import { observingHandlers } from './handlers/observing.ts';
import type { Parts } from './handlers/parts.ts';
import { regionHandlers } from './handlers/regions.ts';
import { releaseHandlers } from './handlers/releases.ts';
import { replayHandlers } from './handlers/replay-decisions.ts';
import { ruleSetHandlers } from './handlers/rule-sets.ts';
import type { Metrics } from './metrics.ts';
import { createReadiness } from './readiness.ts';

interface AppOptions extends Parts {
	authenticate: Authenticate;
	metrics: Metrics;
	clientKeys: () => ClientKeys;
}

/** The control plane's door, testable with `app.request()`. */
export function createApp({ authenticate, metrics, clientKeys, ...parts }: AppOptions): DoorApp {
	let docs: string | undefined;
	const handlers: Handlers<typeof controlPlaneRoutes> = {
		...regionHandlers(parts),
		...ruleSetHandlers(parts),
		...releaseHandlers(parts),
		...modelHandlers(parts),
		...decisionHandlers(parts),
		...analyticsHandlers(parts),
		...observingHandlers(parts),
		'GET /docs': () => {
			docs ??= docsPage([
				{ title: 'Edge', about: 'Prices and forecasts, port 8787.', routes: edgeRoutes },
				{ title: 'Ingestion', about: 'Events, port 8789.', routes: ingestRoutes },
				{ title: 'Control plane', about: 'Regions, rule sets, releases, models and the audit, port 8788.', routes: controlPlaneRoutes },
			]);
			return new Response(docs, { headers: docsHeaders });
		},
		'GET /.well-known/jwks.json': () => ({ status: 200, body: clientKeys().jwks, headers: { 'cache-control': 'public, max-age=60' } }),
	};
	return createDoor({
		title: 'surgecast control plane',
		routes: controlPlaneRoutes,
		handlers,
		authenticate,
		metrics,
		readiness: createReadiness(parts),
		behind: () => parts.reconciler.behind(),
		rawBodies: ['POST /api/v1/rule-sets', 'POST /api/v1/models'],
		internal: { routes: controlPlaneInternalRoutes, handlers: replayHandlers(parts) as Record<string, Handler> },
	});
}
