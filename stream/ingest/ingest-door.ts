import type { Authenticate } from '#control-plane/authenticate.ts';
import { createDoor, type DoorApp, type Handlers, parseJson, type Reply } from '#control-plane/door.ts';
import type { Metrics } from '#control-plane/metrics.ts';
import type { Behind } from '#schemas/behind.ts';
import type { DecisionBatch } from '#schemas/decision.ts';
import type { EventResult } from '#schemas/event.ts';
import { ingestRoutes } from '#schemas/ingest-routes.ts';
import { limits } from '#schemas/limits.ts';
import { partition } from '#schemas/partition.ts';
import type { Route } from '#schemas/route.ts';
import { encodeDecision, encodeSnapshot } from '../avro/codec.ts';
import type { Clock } from '../clock.ts';
import { type Appended, type EventLog, LogUnavailable } from '../log/event-log.ts';
import type { Intake, Item } from './intake.ts';

const NDJSON = 'application/x-ndjson';

const internalRoutes = [
	{
		method: 'post',
		path: '/internal/decisions',
		role: 'service',
		summary: 'Batches of decisions from an Outbox, a line each',
		body: ingestRoutes[0].body, // judged as raw text below: the batches are of our own edge
		types: ['application/json', NDJSON],
		answers: { 202: 'application/json' },
	},
] as const satisfies Route[];

/** The items of a body, or why there are none. A malformed line of ndjson is an item of its own. */
function itemsOf(text: string, contentType: string): { items: Item[]; single: boolean } | Reply {
	if (contentType === NDJSON) {
		const lines = text.split('\n').filter((line) => line.trim() !== '');
		return {
			single: false,
			items: lines.map((line) => {
				const json = parseJson(line);
				return json.ok ? { value: json.value } : { malformed: 'this line is not JSON' };
			}),
		};
	}
	const json = parseJson(text);
	if (!json.ok) return json.refusal;
	if (Array.isArray(json.value)) return { single: false, items: json.value.map((value) => ({ value })) };
	return { single: true, items: [{ value: json.value }] };
}

const unavailable = (error: LogUnavailable): Reply => ({
	code: 'unavailable',
	detail: `The log takes no events at the moment: ${error.message.slice(0, 100)}`,
});

/** The answer to one event alone: its problem where it is refused. */
function single(result: EventResult): Reply {
	switch (result.status) {
		case 'conflict':
			return { code: 'conflict', detail: `Another event was sent with id "${result.event_id}"` };
		case 'rate_limited':
			return {
				code: 'rate_limited',
				detail: 'This user has sent too many events in this minute',
				retryAfterSeconds: 60 - (Math.floor(Date.now() / 1000) % 60),
			};
		case 'invalid':
			return result.code === 'unknown_region'
				? { code: 'unknown_region', status: 422, detail: result.errors?.[0]?.message ?? 'unknown region', errors: result.errors }
				: { code: 'invalid', detail: 'The event does not fit the schema; see errors.', errors: result.errors };
		default:
			return { status: 202, body: { accepted: result.status === 'accepted' ? 1 : 0, results: [result] } };
	}
}

/** The records of a batch: snapshots before the decisions that name them, in the partition of their region. */
function recordsOf(batch: DecisionBatch, options: { partitions: number; now: number }): Appended[] {
	const { partitions, now } = options;
	const place = (regionId: string) => ({ topic: 'pricing-decisions' as const, partition: partition(regionId, partitions), key: regionId, timestamp: now });
	return [
		...batch.snapshots.map((snapshot) => ({ ...place(snapshot.region.region_id), value: encodeSnapshot(snapshot) })),
		...batch.decisions.map((record) => ({ ...place(record.region_id), value: encodeDecision(record) })),
	];
}

/** The producers' door, and /internal/decisions for the Outboxes. */
export function createIngestDoor(options: {
	intake: Intake;
	log: EventLog;
	clock: Clock;
	authenticate: Authenticate;
	metrics: Metrics;
	/** Beside the log's own trouble. */
	readiness: () => string | null;
	/** What lags or fails behind the door; the door itself still takes events. */
	behind?: () => readonly Behind[];
}): DoorApp {
	const { intake, log, clock, authenticate, metrics, readiness, behind } = options;
	metrics.gauge('surgecast_events_waiting', { help: 'Events that wait for the log', read: intake.waiting });
	metrics.gauge('surgecast_log_refusing', { help: '1 while the log takes nothing', read: () => Number(intake.trouble() !== null) });
	const handlers: Handlers<typeof ingestRoutes> = {
		'POST /api/v1/events': async ({ text, contentType, traceId }) => {
			const body = itemsOf(text, contentType);
			if (!('items' in body)) return body;
			const { items } = body;
			if (items.length > limits.events_batch_max)
				return { code: 'too_large', detail: `A batch must not have more than ${limits.events_batch_max} events, this one has ${items.length}` };
			if (items.length === 0)
				return { code: 'invalid', detail: 'A batch must have at least one event', errors: [{ path: '', message: 'must have at least one event' }] };
			let results: EventResult[];
			try {
				results = await intake.take(items, { traceparent: `00-${traceId}-${traceId.slice(0, 16)}-01` });
			} catch (error) {
				if (error instanceof LogUnavailable) return unavailable(error);
				throw error;
			}
			if (body.single && results[0]) return single(results[0]);
			const accepted = results.filter(({ status }) => status === 'accepted').length;
			const fine = results.every(({ status }) => status === 'accepted' || status === 'duplicate');
			return { status: fine ? 202 : 207, body: { accepted, results } };
		},
	};
	const takeDecisions = async ({ text }: { text: string }): Promise<Reply> => {
		const records: Appended[] = [];
		let decisions = 0;
		for (const line of text.split('\n')) {
			if (line.trim() === '') continue;
			const json = parseJson(line);
			if (!json.ok) return json.refusal;
			try {
				const batch = json.value as DecisionBatch; // of our own edge, under its key; what the sink cannot use it names
				records.push(...recordsOf(batch, { partitions: log.partitions, now: clock.now() }));
				decisions += batch.decisions.length;
			} catch (error) {
				const message = error instanceof Error ? error.message.slice(0, 200) : String(error);
				return { code: 'invalid', detail: 'A line is no batch of decisions', errors: [{ path: '', message }] };
			}
		}
		try {
			await intake.append(records);
		} catch (error) {
			if (error instanceof LogUnavailable) return unavailable(error);
			throw error;
		}
		return { status: 202, body: { decisions } };
	};
	return createDoor({
		title: 'surgecast ingestion',
		routes: ingestRoutes,
		handlers,
		authenticate,
		metrics,
		readiness: () => intake.trouble() ?? readiness(),
		behind,
		rawBodies: ['POST /api/v1/events', 'POST /internal/decisions'],
		internal: { routes: internalRoutes, handlers: { 'POST /internal/decisions': takeDecisions } },
	});
}
