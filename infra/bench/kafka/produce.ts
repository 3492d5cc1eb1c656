// Appends events of now at a steady rate, by the product's own log.
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { partition } from '#schemas/partition.ts';
import { encodeEvent } from '#stream/avro/codec.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import { done, eventOf, workOf } from './work.ts';

const PORTIONS_A_SECOND = 50;
const BEHIND_MAX = 8; // portions under way: more would only wait in line here

const { kafka, partitions, regions, events, rate } = workOf();
const log = await openKafkaLog(kafkaPlace(kafka), { partitions, client_id: 'surgecast-bench-load', onTrouble: console.error });
const places = new Map(Array.from({ length: regions }, (_, i) => [`r-${i}`, partition(`r-${i}`, partitions)]));
const began = performance.now();
const before = process.cpuUsage();
const under = new Set<Promise<void>>();
for (let n = 0, portion = 0; n < events; portion++) {
	const due = began + (portion * 1000) / PORTIONS_A_SECOND - performance.now();
	if (due > 0) await new Promise((resolve) => setTimeout(resolve, due));
	while (under.size >= BEHIND_MAX) await Promise.race(under);
	const count = Math.min(rate / PORTIONS_A_SECOND, events - n);
	const stamp = Date.now();
	const records = Array.from({ length: count }, (_, i) => {
		const event = eventOf(n + i, { regions, stamp });
		return { topic: 'user-events' as const, partition: places.get(event.region_id)!, key: event.region_id, value: encodeEvent(event), timestamp: stamp };
	});
	n += count;
	const appended: Promise<void> = log.append(records).finally(() => under.delete(appended));
	under.add(appended);
}
await Promise.all(under);
const { user, system } = process.cpuUsage(before);
const seconds = (performance.now() - began) / 1000;
await log.close();
done({ events, cpu_seconds: (user + system) / 1e6, seconds, lags: [] });
