import type { Configuration } from '#control-plane/configuration.ts';

/** The processes that the product is made of, each startable alone. */
export const aloneNames = ['edge', 'control-plane', 'ingestion', 'feature-worker', 'sinks'] as const;
export type AloneName = (typeof aloneNames)[number];

/** A process of the product, at work. */
export interface Alone {
	/** Of its door: its own, or that for health and metrics. */
	url: string;
	/** Finishes what is under way. */
	close(): Promise<void>;
}

export const isAloneName = (text: string): text is AloneName => (aloneNames as readonly string[]).includes(text);

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
