// The peer: what most would write. The client as it is installed, a message a call, JSON, counts in Maps; no memory of ids, no lateness, no finals, no checkpoint
// but the group's offsets.
import { writeFileSync } from 'node:fs';
import kafkajs from 'kafkajs';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { done, workOf } from './work.ts';

interface Counts {
	bookings: number;
	searches: number;
	cancels: number;
}
const { kafka, result, json_topic, events } = workOf();
const client = new kafkajs.Kafka({ clientId: 'naive', brokers: kafkaPlace(kafka).brokers, logLevel: kafkajs.logLevel.NOTHING });
const consumer = client.consumer({ groupId: `naive-${process.pid}-${Date.now()}` });
await consumer.connect();
const windows = new Map<string, Map<number, Counts>>();
let counted = 0;
const began = performance.now();
const before = process.cpuUsage();
await consumer.subscribe({ topic: json_topic, fromBeginning: true });
await new Promise<void>((resolve) => {
	void consumer.run({
		async eachMessage({ message }) {
			const event = JSON.parse(message.value!.toString());
			let region = windows.get(event.region_id);
			if (!region) {
				region = new Map();
				windows.set(event.region_id, region);
			}
			const minute = Math.floor(event.timestamp / 60_000);
			let counts = region.get(minute);
			if (!counts) {
				counts = { bookings: 0, searches: 0, cancels: 0 };
				region.set(minute, counts);
			}
			if (event.event_type === 'booking') counts.bookings += 1;
			else if (event.event_type === 'search') counts.searches += 1;
			else counts.cancels += 1;
			counted += 1;
			if (counted === events) resolve();
		},
	});
});
const { user, system } = process.cpuUsage(before);
const seconds = (performance.now() - began) / 1000;
const bookings = [...windows].flatMap(([region, minutes]) => [...minutes].map(([minute, counts]) => [`${region} ${minute * 60_000}`, counts.bookings]));
writeFileSync(result, JSON.stringify(bookings));
await consumer.disconnect();
done({ events: counted, cpu_seconds: (user + system) / 1e6, seconds, lags: [] });
