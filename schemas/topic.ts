/** The topics of the log. The first five are keyed by region_id and have the same number of partitions, the others one. */
export const keyedTopics = ['user-events', 'supply-events', 'external-events', 'demand-signals', 'pricing-decisions'] as const;
export const sideTopics = ['dead-letter', 'late-events'] as const;
export const topics = [...keyedTopics, ...sideTopics] as const;
export type Topic = (typeof topics)[number];

/** How many partitions a topic has in a log of `keyed` partitions. */
export const partitionsOf = (topic: Topic, keyed: number): number => ((keyedTopics as readonly Topic[]).includes(topic) ? keyed : 1);

/** What the feature worker reads. */
export const eventTopics = ['user-events', 'supply-events', 'external-events'] as const satisfies Topic[];
export type EventTopic = (typeof eventTopics)[number];

const DAY_MS = 24 * 3_600_000;
/** How long records are kept, by the deployment clock. The usuals need 29 days of user-events. */
export const retentionMs: Record<Topic, number> = {
	'user-events': 35 * DAY_MS,
	'supply-events': 7 * DAY_MS,
	'external-events': 7 * DAY_MS,
	'demand-signals': 7 * DAY_MS,
	'pricing-decisions': 7 * DAY_MS,
	'dead-letter': 7 * DAY_MS,
	'late-events': 7 * DAY_MS,
};
