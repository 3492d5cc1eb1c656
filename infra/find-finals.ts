import type { FeatureVector } from '#schemas/feature.ts';
import { decode } from '#stream/avro/codec.ts';
import type { EventLog } from '#stream/log/event-log.ts';
import { readTopic } from './read-topic.ts';

/** Final features of a region as of the end of a minute. */
export interface Final {
	region_id: string;
	/** Milliseconds. */
	as_of: number;
	values: FeatureVector;
}

/** The finals of a log by region and minute, in that order. @throws when one is there twice and differs. */
export async function findFinals(log: EventLog): Promise<Map<string, Final>> {
	const finals = new Map<string, Final>();
	const bytes = new Map<string, string>();
	for (let partition = 0; partition < log.partitions; partition++)
		for await (const { value } of readTopic(log, 'demand-signals', partition)) {
			const decoded = decode(value);
			if (decoded.kind !== 'signal' || decoded.signal.kind !== 'final') continue;
			const { region_id, as_of, values } = decoded.signal;
			const key = `${region_id} ${new Date(as_of).toISOString()}`;
			const text = Buffer.from(value).toString('base64');
			if (bytes.has(key) && bytes.get(key) !== text) throw new Error(`The final of ${key} was logged twice and differs`);
			bytes.set(key, text);
			finals.set(key, { region_id, as_of, values });
		}
	return new Map([...finals].sort(([a], [b]) => (a < b ? -1 : 1)));
}
