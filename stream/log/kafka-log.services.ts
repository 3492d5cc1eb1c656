import { inject } from 'vitest';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { topics } from '#schemas/topic.ts';
import { eventLogContract } from './event-log.contract.ts';
import { kafkaClient } from './kafka-client.ts';
import { openKafkaLog } from './kafka-log.ts';

declare module 'vitest' {
	export interface ProvidedContext {
		kafka: string;
	}
}

const place = kafkaPlace(inject('kafka'));

eventLogContract('the Kafka log', () => ({
	open: () => openKafkaLog(place, { partitions: 4, client_id: 'surgecast-test', onTrouble: console.warn }),
	leaves: {
		timestamps: 'the broker stamps what it takes',
		expiry: 'retention is the broker’s',
	},
	rebalance_ms: 20_000,
	/** Topics and groups go; the next test makes them anew. */
	async remove() {
		const admin = kafkaClient(place, { clientId: 'surgecast-test' }).admin();
		await admin.connect();
		const { groups } = await admin.listGroups();
		await admin.deleteGroups(groups.map(({ groupId }) => groupId).filter((id) => id.startsWith('surgecast-'))).catch(() => undefined);
		await admin.deleteTopics({ topics: [...topics] });
		for (let there = true; there; ) there = (await admin.listTopics()).some((topic) => (topics as readonly string[]).includes(topic));
		await admin.disconnect();
	},
}));
