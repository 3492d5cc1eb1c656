// A child process of embedded-log.test.ts: appends until it is killed, and reports each append after it was told that it is done.
import { openEmbeddedLog } from './embedded-log.ts';

const [directory = ''] = process.argv.slice(2);
const log = openEmbeddedLog(directory, { partitions: 4 });
for (let n = 0; ; n++) {
	const value = new TextEncoder().encode(`append ${n}`);
	await log.append(Array.from({ length: 3 }, (_, partition) => ({ topic: 'user-events' as const, partition, key: 'r', value, timestamp: n })));
	process.stdout.write(`${n}\n`);
}
