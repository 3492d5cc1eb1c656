import pg from 'pg';
import type { Configuration } from '#control-plane/configuration.ts';
import type { KafkaPlace } from '#control-plane/kafka-place.ts';
import { causeOf } from '#stream/cause-of.ts';
import { kafkaClient } from '#stream/log/kafka-client.ts';
import { openRedis } from '#stream/redis/redis-client.ts';
import { doubtful, type Finding, ok, wrong } from './finding.ts';

const ANSWER_MS = 3000;

/** The servers that the configuration names, asked once each; nothing is made or changed there. */
export async function serverFindings({ kafka, database, clickhouse, redis, partitions }: Configuration): Promise<Finding[]> {
	const asked = await Promise.all([
		kafka && kafkaFinding(kafka, partitions),
		/^postgres(ql)?:/.test(database) && postgresFinding(database),
		clickhouse && clickHouseFinding(clickhouse),
		redis && redisFinding(redis),
	]);
	return asked.filter((finding) => finding !== null && finding !== false);
}

async function kafkaFinding(place: KafkaPlace, partitions: number): Promise<Finding> {
	const admin = kafkaClient(place, { clientId: 'surgecast-doctor' }).admin();
	try {
		await admin.connect();
		const { brokers } = await admin.describeCluster();
		const ours = (await admin.listTopics()).includes('user-events') ? await admin.fetchTopicMetadata({ topics: ['user-events'] }) : undefined;
		const made = ours?.topics[0]?.partitions.length ?? partitions;
		const says = `Kafka answers with ${brokers.length} ${brokers.length === 1 ? 'broker' : 'brokers'}`;
		if (made !== partitions)
			return wrong('log', `its topics have ${made} partitions, PARTITIONS is ${partitions}`, `set PARTITIONS=${made}, or name another cluster`);
		return ok('log', `${says}; its topics ${ours ? `have ${made} partitions` : 'are made at the first start'}`);
	} catch (error) {
		return wrong('log', `Kafka at ${place.brokers.join(', ')}: ${causeOf(error)}`, 'start it, or see LOG_URL');
	} finally {
		await admin.disconnect().catch(() => undefined);
	}
}

async function postgresFinding(url: string): Promise<Finding> {
	const { host } = new URL(url);
	const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: ANSWER_MS, query_timeout: ANSWER_MS });
	client.on('error', () => undefined); // said by the query under way
	try {
		await client.connect();
		const { rows } = await client.query<{ server_version: string }>('show server_version');
		return ok('database', `PostgreSQL ${rows[0]?.server_version} answers at ${host}`);
	} catch (error) {
		return wrong('database', `PostgreSQL at ${host}: ${causeOf(error)}`, 'start it, make the database, or see DATABASE_URL');
	} finally {
		await client.end().catch(() => undefined);
	}
}

async function clickHouseFinding({ url, username, password, database }: NonNullable<Configuration['clickhouse']>): Promise<Finding> {
	const advice = 'start it, make the database, or see CLICKHOUSE_URL; until then its records wait in the log, 7 days at most';
	try {
		const query = new URLSearchParams({ database, query: 'SELECT version()' });
		const headers = { 'x-clickhouse-user': username, 'x-clickhouse-key': password };
		const answer = await fetch(`${url}/?${query}`, { headers, signal: AbortSignal.timeout(ANSWER_MS) });
		const text = (await answer.text()).trim();
		return answer.ok ? ok('history', `ClickHouse ${text} answers at ${url}`) : doubtful('history', `ClickHouse at ${url}: ${text.slice(0, 200)}`, advice);
	} catch (error) {
		return doubtful('history', `ClickHouse at ${url}: ${causeOf(error)}`, advice);
	}
}

async function redisFinding(place: NonNullable<Configuration['redis']>): Promise<Finding> {
	let why = '';
	const client = openRedis({ ...place, onTrouble: (text) => (why = text) });
	// As often as the breaker lets through: a first connection may take longer than a call may.
	for (let n = 0; n < 5; n++) if (await client.get(['surgecast-doctor'])) return ok('Redis', `answers at ${place.url}`);
	return doubtful('Redis', `${place.url}: ${why}`, 'start it, or see UPSTASH_REDIS_REST_URL and its token; until then work goes on without it');
}
