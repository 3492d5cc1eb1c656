import type { Configuration } from '#control-plane/configuration.ts';
import { createEdgeClient } from '#control-plane/edge-client.ts';
import { openKeys, serviceTokenSource } from '#control-plane/keys.ts';
import { seed } from '#control-plane/seed.ts';
import { startControlPlane } from '#control-plane/start-control-plane.ts';
import { sampleChampion } from '../sample/champion.ts';
import { sampleRegions } from '../sample/regions.ts';
import { sampleRuleSets } from '../sample/rule-sets.ts';
import type { Alone } from './alone.ts';
import { openSharedDatabase } from './open-servers.ts';

/** The operators' door with its reconciler. An empty database is filled with the sample; an edge that is not there yet is filled when it comes. */
export async function startControlPlaneAlone(configuration: Configuration): Promise<Alone> {
	const database = await openSharedDatabase(configuration, 'control-plane');
	const keys = openKeys(configuration.keysDir);
	await seed(database, { regions: sampleRegions({ profiles: true }), rule_sets: sampleRuleSets, champion: sampleChampion(), keys, now: Date.now() });
	const controlPlane = await startControlPlane({
		configuration,
		keys,
		database,
		edge: createEdgeClient({
			url: configuration.edgeUrl,
			token: serviceTokenSource(keys, { kind: 'control-plane', audience: configuration.auth.audience }),
		}),
	});
	void controlPlane.reconcileNow();
	return {
		url: controlPlane.url,
		async close() {
			await controlPlane.close();
			await database.close();
		},
	};
}
