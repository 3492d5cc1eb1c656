import type { controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import type { Analytics } from '../analytics.ts';
import type { Handlers } from '../door.ts';
import { UnavailableError } from '../unavailable-error.ts';
import type { Parts } from './parts.ts';

/** Questions to the history, where there is one. */
export function analyticsHandlers({ analytics }: Pick<Parts, 'analytics'>) {
	/** @throws UnavailableError where no ClickHouse is configured. */
	const history = (): Analytics => {
		if (!analytics) throw new UnavailableError('There is no history: CLICKHOUSE_URL is not set.');
		return analytics;
	};
	return {
		'GET /api/v1/analytics/history': async ({ query }) => ({ status: 200, body: await history().history(query) }),
		'GET /api/v1/analytics/multipliers': async ({ query }) => ({ status: 200, body: await history().multipliers(query) }),
		'GET /api/v1/analytics/refusals': async ({ query }) => ({ status: 200, body: await history().refusals(query) }),
		'GET /api/v1/analytics/accuracy': async ({ query }) => ({ status: 200, body: await history().accuracy(query) }),
	} satisfies Partial<Handlers<typeof controlPlaneRoutes>>;
}
