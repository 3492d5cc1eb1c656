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
