import { keyedTopics, sideTopics, type Topic } from '#schemas/topic.ts';

/** The groups that move the log into stores, and what each moves. Their positions stand in the log under these names. */
export const sinkGroups = {
	'decisions-to-postgres': ['pricing-decisions'],
	'offline-store': ['demand-signals'],
	'history-to-clickhouse': keyedTopics,
	'asides-to-clickhouse': sideTopics,
	'prices-to-redis': ['pricing-decisions'],
} as const satisfies Record<string, readonly Topic[]>;

export type SinkGroup = keyof typeof sinkGroups;
