import { join } from 'node:path';
import type { Configuration } from '#control-plane/configuration.ts';
import type { PriceAnswer } from '#schemas/price.ts';
import { openEmbeddedLog } from '#stream/log/embedded-log.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import { findDecisions } from '../drills/find.ts';
import { finalsDiffer } from '../drills/refold.ts';
import { findFinals } from '../find-finals.ts';
import { historyIds } from './history-ids.ts';

export interface Comparison {
	finals: number;
	decisions: number;
	/** In words; none when the runs are equal. */
	differences: string[];
}

/** What two runs of the same replay have in common of a decision: its id is made anew each time. */
const priceOf = ({ region_id, product_type, decided_at, status, amount_minor, currency, surge_multiplier, versions }: PriceAnswer): string =>
	JSON.stringify([
		region_id,
		product_type,
		decided_at,
		status,
		amount_minor,
		currency,
		surge_multiplier,
		versions.release,
		versions.model,
		versions.features_as_of,
	]);

/**
 * A replay on the servers that the configuration names against the same replay on the embedded drivers in `directory`: the finals field by field, the prices by
 * what they say, and every decision exactly once in Postgres and, where there is one, in ClickHouse. Neither product may run.
 */
export async function compareRuns(configuration: Configuration, directory: string): Promise<Comparison> {
	const { kafka, database, clickhouse, partitions } = configuration;
	if (!kafka) throw new Error('Cannot compare: LOG_URL is the embedded log, wanted is the Kafka of the other run');
	const embedded = openEmbeddedLog(join(directory, 'log'), { partitions });
	const wanted = await findFinals(embedded).finally(() => embedded.close());
	const log = await openKafkaLog(kafka, { partitions, client_id: 'surgecast-compare', onTrouble: console.warn });
	const found = await findFinals(log).finally(() => log.close());
	const differences = finalsDiffer(found, wanted, Number.POSITIVE_INFINITY);

	const [own, others] = [await findDecisions(database), await findDecisions(join(directory, 'database'))];
	const counts = new Map<string, number>();
	const count = (answers: Iterable<readonly PriceAnswer[]>, by: number) => {
		for (const answer of [...answers].flat()) counts.set(priceOf(answer), (counts.get(priceOf(answer)) ?? 0) + by);
	};
	count(own.values(), 1);
	count(others.values(), -1);
	for (const [price, more] of counts) if (more !== 0) differences.push(`the price ${price} was made ${Math.abs(more)} times ${more > 0 ? 'more' : 'less'}`);
	for (const [id, answers] of own) if (answers.length > 1) differences.push(`decision ${id} is in Postgres ${answers.length} times`);
	if (clickhouse) {
		const ids = await historyIds(clickhouse);
		const once = new Set(ids);
		if (once.size < ids.length) differences.push(`${ids.length - once.size} decisions are in ClickHouse more than once`);
		for (const id of own.keys()) if (!once.has(id)) differences.push(`decision ${id} is not in ClickHouse`);
		for (const id of once) if (!own.has(id)) differences.push(`decision ${id} is in ClickHouse only`);
	}
	return { finals: wanted.size, decisions: own.size, differences };
}
