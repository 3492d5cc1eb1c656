import * as z from 'zod';
import { externalId, name, slug } from './identifier.ts';
import { instant } from './instant.ts';
import { limits } from './limits.ts';
import type { EventTopic } from './topic.ts';

const common = {
	event_id: externalId.optional(),
	idempotency_key: externalId.optional().describe('another name of event_id'),
	region_id: slug,
	timestamp: instant.optional().describe('default: the deployment clock'),
};

function depth(value: unknown, level = 1): number {
	if (typeof value !== 'object' || value === null) return level - 1;
	return Math.max(level, ...Object.values(value).map((inner) => depth(inner, level + 1)));
}
const finite = (value: unknown): boolean =>
	typeof value === 'number' ? Number.isFinite(value) : typeof value === 'object' && value !== null ? Object.values(value).every(finite) : true;

/** UTF-8 bytes of a text without lone surrogates. */
function utf8Bytes(text: string): number {
	let bytes = 0;
	for (let i = 0; i < text.length; i++) {
		const code = text.charCodeAt(i);
		if (code >= 0xd800 && code < 0xdc00) i++;
		bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code >= 0xd800 && code < 0xdc00 ? 4 : 3;
	}
	return bytes;
}

const metadata = z.record(z.string(), z.unknown()).superRefine((value, ctx) => {
	const refuse = (message: string) => ctx.addIssue({ code: 'custom', message });
	if (depth(value) > limits.metadata_depth_max) refuse(`must not be nested deeper than ${limits.metadata_depth_max} levels`);
	else if (!finite(value)) refuse('must have finite numbers only');
	else if (utf8Bytes(JSON.stringify(value)) > limits.metadata_bytes_max) refuse(`must not be larger than ${limits.metadata_bytes_max} bytes of compact JSON`);
});

const ofUser = <T extends string>(type: T) =>
	z.strictObject({ ...common, event_type: z.literal(type), user_id: externalId.optional(), product_type: slug.optional(), metadata: metadata.optional() });
const count = z.int().min(0).max(limits.drivers_max);

/** One event as a producer sends it. `timestamp` is read to milliseconds. */
export const eventInput = z
	.discriminatedUnion('event_type', [
		ofUser('booking'),
		ofUser('search'),
		ofUser('cancel'),
		z.strictObject({ ...common, event_type: z.literal('driver_status'), driver_id: externalId, status: z.enum(['available', 'busy', 'offline']) }),
		z.strictObject({ ...common, event_type: z.literal('supply_snapshot'), available_drivers: count, busy_drivers: count.optional() }),
		z.strictObject({
			...common,
			event_type: z.literal('weather'),
			temperature_c: z.number().min(-100).max(100),
			precipitation_mm_h: z.number().min(0).max(1000),
		}),
		z.strictObject({ ...common, event_type: z.literal('traffic'), traffic_index: z.number().min(0).max(1000) }),
		z.strictObject({
			...common,
			event_type: z.literal('city_event'),
			name,
			starts_at: instant,
			ends_at: instant,
			attendance: z.int().min(0).max(1e9).optional(),
		}),
	])
	.superRefine((event, ctx) => {
		if (event.event_id !== undefined && event.idempotency_key !== undefined && event.event_id !== event.idempotency_key)
			ctx.addIssue({ code: 'custom', path: ['idempotency_key'], message: 'must equal event_id when both are given' });
		if (event.event_type === 'city_event' && event.ends_at <= event.starts_at)
			ctx.addIssue({ code: 'custom', path: ['ends_at'], message: 'must be after starts_at' });
	});
export type EventInput = z.output<typeof eventInput>;
export type EventType = EventInput['event_type'];

export const topicOf: Record<EventType, EventTopic> = {
	booking: 'user-events',
	search: 'user-events',
	cancel: 'user-events',
	driver_status: 'supply-events',
	supply_snapshot: 'supply-events',
	weather: 'external-events',
	traffic: 'external-events',
	city_event: 'external-events',
};

interface Recorded {
	event_id: string;
	region_id: string;
	/** When it happened, milliseconds since 1970. */
	timestamp: number;
	/** When ingestion took it, by the deployment clock; it alone decides late or in time. */
	ingested_at: number;
}
export interface UserEvent extends Recorded {
	event_type: 'booking' | 'search' | 'cancel';
	user_hash: string | null;
	product_type: string | null;
	/** JSON. */
	metadata: string | null;
}
export interface DriverStatusEvent extends Recorded {
	event_type: 'driver_status';
	driver_hash: string;
	status: 'available' | 'busy' | 'offline';
}
export interface SupplySnapshotEvent extends Recorded {
	event_type: 'supply_snapshot';
	available_drivers: number;
	busy_drivers: number;
}
export interface WeatherEvent extends Recorded {
	event_type: 'weather';
	temperature_c: number;
	precipitation_mm_h: number;
}
export interface TrafficEvent extends Recorded {
	event_type: 'traffic';
	traffic_index: number;
}
export interface CityEvent extends Recorded {
	event_type: 'city_event';
	name: string;
	starts_at: number;
	ends_at: number;
	attendance: number | null;
}
/** An event as the log holds it: ids of people hashed, defaults filled in. */
export type Event = UserEvent | DriverStatusEvent | SupplySnapshotEvent | WeatherEvent | TrafficEvent | CityEvent;

/** One item of the answer to POST /api/v1/events. */
export const eventResult = z.strictObject({
	event_id: z.string().nullable(),
	status: z.enum(['accepted', 'duplicate', 'conflict', 'invalid', 'rate_limited']),
	code: z.string().optional(),
	errors: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional(),
});
export type EventResult = z.infer<typeof eventResult>;
export const eventsAnswer = z.strictObject({ accepted: z.int(), results: z.array(eventResult) });
