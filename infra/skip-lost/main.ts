// npm run skip-lost -- GROUP [--yes]: a sink that was without its store for longer than the log keeps records goes on.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Configuration, parseConfiguration } from '#control-plane/configuration.ts';
import { openEmbeddedLog } from '#stream/log/embedded-log.ts';
import type { EventLog } from '#stream/log/event-log.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import { type SinkGroup, sinkGroups } from '#stream/sinks/sink-groups.ts';
import { lockDataDirectory } from '../lock.ts';
import { skipLost } from './skip-lost.ts';

const HELP = `npm run skip-lost -- GROUP [--yes]
A sink whose store was away for longer than the log keeps records stops by name and never jumps: what is gone is gone, and that is for a human to accept.
This says which positions of GROUP the log no longer holds and how much is gone; with --yes GROUP goes on from the oldest record that is kept.

GROUP is one of ${Object.keys(sinkGroups).join(', ')}
Stop npm start, or the processes of the sinks, first. Environment: that of npm start (README.md). Exit 0: said, or done. 1: could not, and why.`;

const isGroup = (text: string | undefined): text is SinkGroup => text !== undefined && text in sinkGroups;

async function openLog({ kafka, dataDir, logPath, partitions }: Configuration): Promise<EventLog> {
	if (kafka) return openKafkaLog(kafka, { partitions, client_id: 'surgecast-skip-lost', onTrouble: console.warn });
	const directory = logPath ?? join(dataDir, 'log');
	if (!existsSync(directory)) throw new Error(`There is no log in "${directory}"`); // not one made by asking for it
	lockDataDirectory(dataDir); // for the life of this process
	return openEmbeddedLog(directory, { partitions });
}

try {
	const { values, positionals } = parseArgs({ allowPositionals: true, options: { yes: { type: 'boolean', default: false }, help: { type: 'boolean' } } });
	const [group] = positionals;
	if (values.help || group === undefined) {
		console.log(HELP);
		process.exit(values.help ? 0 : 1);
	}
	if (!isGroup(group)) throw new Error(`There is no group "${group}", only ${Object.keys(sinkGroups).join(', ')}`);
	const log = await openLog(parseConfiguration(process.env));
	const lost = await skipLost(log, group, { move: values.yes }).finally(() => log.close());
	for (const { topic, partition, position, start, end } of lost)
		console.log(
			position < start
				? `${topic}/${partition}: ${group} stands at ${position}, the log begins at ${start}: ${start - position} records never come into this store`
				: `${topic}/${partition}: ${group} stands at ${position}, the log ends at ${end}: it is another log, or an older one`,
		);
	if (lost.length === 0) console.log(`The log holds every position of ${group}: nothing to skip`);
	else
		console.log(
			values.yes ? `${group} goes on from where the log begins, at its next start` : 'Nothing was changed; with --yes it goes on from where the log begins',
		);
	process.exit(0);
} catch (error) {
	console.error(error instanceof Error ? error.message : error);
	process.exit(1);
}
