import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { topics } from '#schemas/topic.ts';
import { kafkaClient } from '#stream/log/kafka-client.ts';

/** Runs work on a PostgreSQL server by a connection of its own. */
export async function onServer<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
	const client = new pg.Client(url);
	await client.connect();
	return work(client).finally(() => client.end());
}

/** A database of its own on a server, for one test. */
export async function freshDatabase(server: string): Promise<{ url: string; drop(): Promise<void> }> {
	const name = `product_${randomUUID().replaceAll('-', '')}`;
	await onServer(server, (client) => client.query(`create database ${name}`));
	const url = new URL(server);
	url.pathname = `/${name}`;
	return {
		url: url.href,
		async drop() {
			await onServer(server, (client) => client.query(`drop database ${name} with (force)`));
		},
	};
}

/** A database of its own on a ClickHouse server, for one test. */
export async function freshHistory(server: string): Promise<{ url: string; drop(): Promise<void> }> {
	const name = `history_${randomUUID().replaceAll('-', '')}`;
	const run = async (query: string): Promise<void> => {
		const answer = await fetch(server, { method: 'POST', body: query });
		if (!answer.ok) throw new Error(`ClickHouse answers ${answer.status} ${await answer.text()}`);
	};
	await run(`create database ${name}`);
	return { url: `${new URL(server).origin}/${name}`, drop: () => run(`drop database ${name}`) };
}

/** Deletes our topics and waits until they are gone: the next test begins with none. */
export async function dropTopics(kafka: string): Promise<void> {
	const admin = kafkaClient(kafkaPlace(kafka), { clientId: 'surgecast-test' }).admin();
	await admin.connect();
	const there = async () => (await admin.listTopics()).filter((topic) => (topics as readonly string[]).includes(topic));
	const own = await there();
	if (own.length > 0) await admin.deleteTopics({ topics: own });
	while ((await there()).length > 0);
	await admin.disconnect();
}
