import { join } from 'node:path';
import { listDecisions } from '#control-plane/database/decisions.ts';
import { openDatabase } from '#control-plane/database/open-database.ts';
import { featureIndex } from '#schemas/feature.ts';
import { limits } from '#schemas/limits.ts';
import type { PriceAnswer } from '#schemas/price.ts';
import { eventTopics } from '#schemas/topic.ts';
import { decode } from '#stream/avro/codec.ts';
import { openEmbeddedLog } from '#stream/log/embedded-log.ts';
import type { EventLog } from '#stream/log/event-log.ts';
import type { Doors } from '../doors.ts';
import { findFinals } from '../find-finals.ts';
import { readTopic } from '../read-topic.ts';
import { counter, type Found } from './account.ts';
import type { Ledger } from './ledger.ts';
import { canonical } from './load.ts';

/** What a log says: ids of events, and what its finals count. @throws when a final is there twice and differs. */
export async function findEvents(log: EventLog): Promise<Pick<Found, 'logged' | 'counted'>> {
	const logged = new Set<string>();
	for (let partition = 0; partition < log.partitions; partition++)
		for (const topic of eventTopics)
			for await (const { value } of readTopic(log, topic, partition)) {
				const decoded = decode(value);
				if (decoded.kind === 'event') logged.add(decoded.event.event_id);
			}
	const counted = new Map<string, number>();
	for (const { region_id, values } of (await findFinals(log)).values())
		for (const [type, count] of [
			['booking', values[featureIndex.booking_count_1min]],
			['search', values[featureIndex.search_count_1min]],
		] as const) {
			const key = counter(region_id, type);
			counted.set(key, (counted.get(key) ?? 0) + (count ?? 0));
		}
	return { logged, counted };
}

/** The same of a data directory, which no process may have open. */
export async function findEmbeddedEvents(directory: string, partitions: number): Promise<Pick<Found, 'logged' | 'counted'>> {
	const log = openEmbeddedLog(join(directory, 'log'), { partitions });
	return findEvents(log).finally(() => log.close());
}

/** The decisions of a database: a directory, which no process may have open, or the URL of a server's. */
export async function findDecisions(place: string): Promise<Found['decisions']> {
	const database = await openDatabase(place);
	try {
		const found = new Map<string, PriceAnswer[]>();
		let before: [number, string] | undefined;
		for (;;) {
			const { items } = await listDecisions(database.connection, { before, limit: limits.list_limit_max });
			for (const { decision_id, answer } of items) found.set(decision_id, [...(found.get(decision_id) ?? []), answer]);
			const last = items.at(-1);
			if (!last || items.length < limits.list_limit_max) return found;
			before = [last.decided_at, last.decision_id];
		}
	} finally {
		await database.close();
	}
}

/** What the control plane of a running product says of what the ledger names. */
export async function findConfiguration(product: Doors, ledger: Pick<Ledger, 'records' | 'registers'>): Promise<Pick<Found, 'records' | 'registers'>> {
	const get = async (path: string) => {
		const answer = await product.call('control', 'GET', `/api/v1/${path}`, { role: 'viewer' });
		if (answer.status !== 200 && answer.status !== 404) throw new Error(`${path} answers ${answer.status} ${answer.text}`);
		return answer.status === 200 ? answer.json : undefined;
	};
	const records = new Map<string, string>();
	for (const key of ledger.records.keys()) {
		const number = key.split(' ').at(-1);
		const one = await get(key.includes('release') ? `releases/${number}` : `rule-sets/${number}`);
		if (one) records.set(key, key.includes('release') ? String(one.rule_sets.city) : canonical(one.document));
	}
	const registers = new Map<string, string>();
	for (const key of ledger.registers.keys()) {
		const region = await get(`regions/${key.split(' ').at(-1)}`);
		if (region) registers.set(key, key.startsWith('name') ? region.name : String(region.frozen));
	}
	return { records, registers };
}
