import type { Configuration } from '#control-plane/configuration.ts';
import type { Alone, AloneName } from './alone.ts';

/** Starts one process of the product. Only what it needs is loaded. @throws ConfigurationError where it cannot work alone. */
export async function startAlone(name: AloneName, configuration: Configuration): Promise<Alone> {
	switch (name) {
		case 'edge':
			return (await import('./edge.ts')).startEdgeAlone(configuration);
		case 'control-plane':
			return (await import('./control-plane.ts')).startControlPlaneAlone(configuration);
		case 'ingestion':
			return (await import('./ingestion.ts')).startIngestionAlone(configuration);
		case 'feature-worker':
			return (await import('./feature-worker.ts')).startFeatureWorkerAlone(configuration);
		case 'sinks':
			return (await import('./sinks.ts')).startSinksAlone(configuration);
	}
}
