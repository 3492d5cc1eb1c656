import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { limits } from '#schemas/limits.ts';
import { eventTopics } from '#schemas/topic.ts';
import type { Catalogue } from '#stream/catalogue.ts';
import { openPartitionWorker } from '#stream/features/partition-worker.ts';
import { openEmbeddedLog } from '#stream/log/embedded-log.ts';
import type { Appended, EventLog } from '#stream/log/event-log.ts';
import { type Final, findFinals } from '../find-finals.ts';
import { readTopic } from '../read-topic.ts';

/**
 * What the finals of a log must be: its events folded once, from zero, by one worker without any fault, in a log of its own.
 * @param options.until every minute up to this instant is made final, milliseconds.
 */
export async function refold(log: EventLog, options: { catalogue: Catalogue; lateness_ms: number; until: number }): Promise<Map<string, Final>> {
	const { catalogue, lateness_ms } = options;
	const { partitions } = log;
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-refold-'));
	const copy = openEmbeddedLog(directory, { partitions });
	const now = options.until + lateness_ms + limits.stamp_to_append_ms_max + 1;
	const counts = { folded: 0, duplicates: 0, late: 0, dead: 0, finals: 0 };
	try {
		for (let partition = 0; partition < partitions; partition++) {
			for (const topic of eventTopics) {
				const records: Appended[] = [];
				for await (const { key, value, timestamp } of readTopic(log, topic, partition)) records.push({ topic, partition, key, value, timestamp });
				await copy.append(records);
			}
			const clock = { now: () => now, virtual: false };
			const worker = await openPartitionWorker(partition, { log: copy, checkpoints: copy.checkpoints, catalogue, clock, lateness_ms, counts });
			while (await worker.look());
			await worker.save();
		}
		return await findFinals(copy);
	} finally {
		await copy.close();
		rmSync(directory, { recursive: true, force: true });
	}
}

/** Where the finals of two logs differ, in words; none when they are equal up to an instant. */
export function finalsDiffer(found: ReadonlyMap<string, Final>, wanted: ReadonlyMap<string, Final>, until: number): string[] {
	const differences: string[] = [];
	for (const key of new Set([...found.keys(), ...wanted.keys()])) {
		const [a, b] = [found.get(key), wanted.get(key)];
		if ((a ?? b)!.as_of > until) continue;
		if (!a) differences.push(`the final ${key} is missing`);
		else if (!b) differences.push(`the final ${key} is one too many`);
		else if (JSON.stringify(a.values) !== JSON.stringify(b.values))
			differences.push(`the final ${key} is ${JSON.stringify(a.values)}, not ${JSON.stringify(b.values)}`);
	}
	return differences;
}
