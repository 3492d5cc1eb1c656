import type { Configuration } from '#control-plane/configuration.ts';
import { createDoor } from '#control-plane/door.ts';
import type { Metrics } from '#control-plane/metrics.ts';
import { type ServedDoor, serveDoor } from '#control-plane/serve-door.ts';
import type { Behind } from '#schemas/behind.ts';
import { commonRoutes } from '#schemas/route.ts';

/** Health, readiness and metrics of a process that has no other door. It is ready from the start on; what fails stands under `behind`. */
export function openStatusDoor(
	configuration: Configuration,
	{ title, metrics, behind }: { title: string; metrics: Metrics; behind: () => readonly Behind[] },
): Promise<ServedDoor> {
	const app = createDoor({ title, routes: commonRoutes, handlers: {}, authenticate: async () => null, metrics, readiness: () => null, behind });
	return serveDoor(app, { host: configuration.host, port: configuration.statusPort });
}
