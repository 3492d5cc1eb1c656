import type { ClickHousePlace } from '#control-plane/configuration.ts';

/** Ids of the decisions in ClickHouse, each as often as it counts there. @throws when the server does not answer. */
export async function historyIds({ url, username, password, database }: ClickHousePlace): Promise<string[]> {
	const query = new URLSearchParams({ database, query: 'SELECT decision_id FROM decision FINAL FORMAT TabSeparated' });
	const answer = await fetch(`${url}/?${query}`, { headers: { 'x-clickhouse-user': username, 'x-clickhouse-key': password } });
	const text = await answer.text();
	if (!answer.ok) throw new Error(`Cannot read decisions of ClickHouse: ${answer.status} ${text.slice(0, 200)}`);
	return text.split('\n').filter((line) => line !== '');
}
