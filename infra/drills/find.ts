import { join } from 'node:path';
import { listDecisions } from '#control-plane/database/decisions.ts';
import { openDatabase } from '#control-plane/database/open-database.ts';
import { featureIndex } from '#schemas/feature.ts';
import { limits } from '#schemas/limits.ts';
import type { PriceAnswer } from '#schemas/price.ts';
import { eventTopics, type Topic } from '#schemas/topic.ts';
import { decode } from '#stream/avro/codec.ts';
import { openEmbeddedLog } from '#stream/log/embedded-log.ts';
import type { StoredRecord } from '#stream/log/event-log.ts';
import type { Instance } from '../instance.ts';
import { counter, type Found } from './account.ts';
import type { Ledger } from './ledger.ts';
import { canonical } from './load.ts';

const READ = { records_max: 10_000, bytes_max: 16 * 1024 * 1024 };

/** What the log of a data directory says: ids of events, and the finals' counts. No process may have it open. @throws when a final is there twice and differs. */
export async function findEvents(directory: string, partitions: number): Promise<Pick<Found, 'logged' | 'counted'>> {
	const log = openEmbeddedLog(join(directory, 'log'), { partitions });
	async function* records(topic: Topic, partition: number): AsyncGenerator<StoredRecord> {
		const end = await log.end(topic, partition);
		for (let offset = await log.start(topic, partition); offset < end; ) {
			const portion = await log.read(topic, partition, { ...READ, offset });
			yield* portion;
			offset += portion.length;
		}
	}
	const logged = new Set<string>();
	const finals = new Map<string, string>();
	const counted = new Map<string, number>();
	try {
		for (let partition = 0; partition < partitions; partition++) {
			for (const topic of eventTopics)
				for await (const { value } of records(topic, partition)) {
					const decoded = decode(value);
					if (decoded.kind === 'event') logged.add(decoded.event.event_id);
				}
			for await (const { value } of records('demand-signals', partition)) {
				const decoded = decode(value);
				if (decoded.kind !== 'signal' || decoded.signal.kind !== 'final') continue;
				const { region_id, as_of, values } = decoded.signal;
				const minute = `${region_id} ${as_of}`;
				const text = Buffer.from(value).toString('base64');
				if (finals.has(minute)) {
					if (finals.get(minute) !== text) throw new Error(`The final of ${region_id} at ${new Date(as_of).toISOString()} was logged twice and differs`);
					continue;
				}
				finals.set(minute, text);
				for (const [type, count] of [
					['booking', values[featureIndex.booking_count_1min]],
					['search', values[featureIndex.search_count_1min]],
				] as const) {
					const key = counter(region_id, type);
					counted.set(key, (counted.get(key) ?? 0) + (count ?? 0));
				}
			}
		}
	} finally {
		await log.close();
	}
	return { logged, counted };
}

/** The decisions of the store. No process may have the data directory open. */
export async function findDecisions(directory: string): Promise<Found['decisions']> {
	const database = await openDatabase(join(directory, 'database'));
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
export async function findConfiguration(product: Instance, ledger: Pick<Ledger, 'records' | 'registers'>): Promise<Pick<Found, 'records' | 'registers'>> {
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
