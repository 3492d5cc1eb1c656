// A process that is killed: moves a log's finals into a store until all is there, then stops. Arguments: the log's directory, its partitions, the place as JSON.
import { openEmbeddedLog } from '../log/embedded-log.ts';
import { openOfflineSink } from './offline-sink.ts';
import { openFileStore } from './open-file-store.ts';

const [path = '', partitions = '1', place = '""'] = process.argv.slice(2);
const log = openEmbeddedLog(path, { partitions: Number(partitions) });
const sink = await openOfflineSink({
	log,
	store: openFileStore(JSON.parse(place)),
	onTrouble: (text) => console.error(text),
	part_rows: 700,
	partial_ms: 1,
	retry_ms: 20,
});
console.log('open');
sink.start();
await sink.drain(60_000);
await sink.stop();
await log.close();
console.log('done');
