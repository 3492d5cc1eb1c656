import { randomUUID } from 'node:crypto';
import { type Event, type EventInput, type EventResult, eventInput, topicOf } from '#schemas/event.ts';
import { formatInstant } from '#schemas/instant.ts';
import { limits } from '#schemas/limits.ts';
import { parse } from '#schemas/parse.ts';
import { partition } from '#schemas/partition.ts';
import type { FieldError } from '#schemas/problem.ts';
import { encodeEvent } from '../avro/codec.ts';
import type { Catalogue } from '../catalogue.ts';
import type { Clock } from '../clock.ts';
import { type Appended, type EventLog, LogUnavailable } from '../log/event-log.ts';
import type { SharedEvent, SharedIds } from '../redis/shared-ids.ts';
import { type DoorIds, type SeenEvent, seenEvent } from './door-ids.ts';
import { pseudonym } from './pseudonym.ts';
import { userRateLimit } from './user-rate-limit.ts';

/** A third of what finals allow: the log may take as long again to write, and clocks differ. */
const APPEND_MS = limits.stamp_to_append_ms_max / 3;

/** One item of a request: a JSON value, or why it is none (a malformed line of ndjson). */
export type Item = { value: unknown } | { malformed: string };

export interface Intake {
	/** Answers every item, in order; accepted ones are durable in the log. @throws LogUnavailable when nothing of the request was kept. */
	take(items: readonly Item[], options: { traceparent: string | undefined }): Promise<EventResult[]>;
	/** Appends records of our own. @throws LogUnavailable when none was kept. */
	append(records: readonly Appended[]): Promise<void>;
	/** Null while the log takes what comes, else since when and why it does not, and what waits. */
	trouble(): string | null;
	/** Events that wait for the log. */
	waiting(): number;
	/** Waits for what is under way. */
	close(): Promise<void>;
	readonly counts: Record<EventResult['status'], number>;
}

interface Waiting {
	items: (EventInput | FieldError[])[];
	traceparent: string | undefined;
	resolve(results: EventResult[]): void;
	reject(error: unknown): void;
}

/** An event as the log holds it: ids of people hashed, defaults filled in. */
function recorded(input: EventInput, options: { event_id: string; ingested_at: number; pepper: string }): Event {
	const { event_id, ingested_at, pepper } = options;
	const common = { event_id, region_id: input.region_id, timestamp: input.timestamp ?? ingested_at, ingested_at };
	switch (input.event_type) {
		case 'booking':
		case 'search':
		case 'cancel':
			return {
				...common,
				event_type: input.event_type,
				user_hash: input.user_id === undefined ? null : pseudonym(input.user_id, pepper),
				product_type: input.product_type ?? null,
				metadata: input.metadata === undefined ? null : JSON.stringify(input.metadata),
			};
		case 'driver_status':
			return { ...common, event_type: 'driver_status', driver_hash: pseudonym(input.driver_id, pepper), status: input.status };
		case 'supply_snapshot':
			return { ...common, event_type: 'supply_snapshot', available_drivers: input.available_drivers, busy_drivers: input.busy_drivers ?? 0 };
		case 'weather':
			return { ...common, event_type: 'weather', temperature_c: input.temperature_c, precipitation_mm_h: input.precipitation_mm_h };
		case 'traffic':
			return { ...common, event_type: 'traffic', traffic_index: input.traffic_index };
		case 'city_event':
			return {
				...common,
				event_type: 'city_event',
				name: input.name,
				starts_at: input.starts_at,
				ends_at: input.ends_at,
				attendance: input.attendance ?? null,
			};
	}
}

/** What is known of the ids of a group of requests: by this door itself, and what other doors say of the rest. */
interface Known {
	here: Map<string, SeenEvent>;
	elsewhere: ReadonlyMap<string, SharedEvent>;
}

const isSame = (before: Omit<SeenEvent, 'event_id'>, now: Omit<SeenEvent, 'event_id'>): boolean =>
	before.payload.equals(now.payload) && (before.timestamp === null || now.timestamp === null || before.timestamp === now.timestamp);

/**
 * What happens to events between the door and the log. Requests that arrive together share one append (group commit): judged one after another
 * against the ids known, stamped, appended, then remembered, then answered, in this order, so that a 2xx is always durable.
 * @param options.shared what other doors accepted; asked before a group is judged, told behind its answer.
 */
export function openIntake(options: {
	log: EventLog;
	ids: DoorIds;
	shared?: SharedIds | undefined;
	catalogue: Catalogue;
	clock: Clock;
	pepper: string;
	events_per_minute: number | undefined;
	onTrouble?: (text: string) => void;
}): Intake {
	const { log, ids, shared, catalogue, clock, pepper, onTrouble = () => undefined } = options;
	const counts = { accepted: 0, duplicate: 0, conflict: 0, invalid: 0, rate_limited: 0 };
	const limited = options.events_per_minute === undefined ? undefined : userRateLimit(options.events_per_minute);
	let waiting: Waiting[] = [];
	let waitingItems = 0;
	let running: Promise<void> | undefined;
	let stamped = 0;
	/** The log took nothing since then (wall clock). */
	let refusing: { since: number; last: number; why: string } | undefined;

	/** Every append of this process comes through here, so that readiness can tell what the log does. */
	async function append(records: readonly Appended[], limit?: { before: number }): Promise<void> {
		try {
			await log.append(records, limit);
			if (records.length > 0) refusing = undefined;
		} catch (error) {
			if (error instanceof LogUnavailable) refusing = { since: refusing?.since ?? Date.now(), last: Date.now(), why: error.message };
			throw error;
		}
	}

	const idOf = (input: EventInput): string | undefined => input.event_id ?? input.idempotency_key;

	/** What the door remembers of the ids that these requests give; of the others it asks what other doors accepted under them. */
	async function recall(group: readonly Waiting[]): Promise<Known> {
		const here = new Map<string, SeenEvent>();
		const strange = new Set<string>();
		for (const { items } of group)
			for (const item of items) {
				const id = Array.isArray(item) ? undefined : idOf(item);
				if (id === undefined || here.has(id) || strange.has(id)) continue;
				const seen = ids.find(id);
				if (seen) here.set(id, seen);
				else strange.add(id);
			}
		return { here, elsewhere: shared && strange.size > 0 ? await shared.find([...strange]) : new Map() };
	}

	function judge(input: EventInput | FieldError[], { here, elsewhere }: Known, stamp: number): { result: EventResult; event?: Event; seen?: SeenEvent } {
		if (Array.isArray(input)) return { result: { event_id: null, status: 'invalid', code: 'invalid', errors: input } };
		const given = idOf(input);
		const event_id = given ?? randomUUID();
		if (!catalogue.get(input.region_id))
			return {
				result: { event_id, status: 'invalid', code: 'unknown_region', errors: [{ path: '/region_id', message: `there is no region "${input.region_id}"` }] },
			};
		const seen = seenEvent(input, event_id);
		const own = given === undefined ? undefined : here.get(event_id);
		const theirs = given === undefined || own ? undefined : elsewhere.get(event_id);
		if (own || theirs) {
			const same = own ? isSame(own, seen) : theirs && shared && isSame(theirs, { ...seen, payload: shared.seal(seen.payload) });
			return { result: same ? { event_id, status: 'duplicate' } : { event_id, status: 'conflict', code: 'conflict' } };
		}
		if (limited && 'user_id' in input && input.user_id !== undefined && !limited(input.user_id))
			return { result: { event_id, status: 'rate_limited', code: 'rate_limited' } };
		return { result: { event_id, status: 'accepted' }, event: recorded(input, { event_id, ingested_at: stamp, pepper }), seen };
	}

	/** One append for requests that came together. */
	async function keep(group: readonly Waiting[]): Promise<EventResult[][]> {
		// A region that nobody here knows may be a second old: read the catalogue before anything is refused for it.
		const unknown = group.some(({ items }) => items.some((item) => !Array.isArray(item) && !catalogue.get(item.region_id)));
		if (unknown) await catalogue.refresh().catch(() => undefined); // then the item is answered unknown_region
		const known = await recall(group);
		stamped = Math.max(stamped, clock.now()); // after whatever was waited for
		const taken: SeenEvent[] = [];
		const records: Appended[] = [];
		const answers = group.map(({ items, traceparent }) =>
			items.map((item) => {
				const { result, event, seen } = judge(item, known, stamped);
				if (event && seen) {
					known.here.set(event.event_id, seen);
					taken.push(seen);
					records.push({
						topic: topicOf[event.event_type],
						partition: partition(event.region_id, log.partitions),
						key: event.region_id,
						value: encodeEvent(event),
						timestamp: stamped,
						headers: traceparent ? { traceparent } : undefined,
					});
				}
				return result;
			}),
		);
		// Rather refused than appended long after stamping (the machine slept, the log was locked): finals rely on it.
		await append(records, { before: Date.now() + APPEND_MS }); // durable from here on
		try {
			if (taken.length > 0) ids.remember(taken, stamped);
		} catch (error) {
			// The events are in the log, so the answer is 2xx; a resend is answered "accepted" once more, and the fold counts it once.
			onTrouble(`The door does not remember ${taken.length} event ids: ${error instanceof Error ? error.message : error}`);
		}
		if (taken.length > 0) shared?.remember(taken);
		return answers;
	}

	async function flush(): Promise<void> {
		while (waiting.length > 0) {
			const group = waiting;
			waiting = [];
			waitingItems = 0;
			try {
				const answers = await keep(group);
				group.forEach(({ resolve }, index) => {
					const results = answers[index] ?? [];
					for (const { status } of results) counts[status] += 1;
					resolve(results);
				});
			} catch (error) {
				for (const { reject } of group) reject(error);
			}
		}
	}

	return {
		counts,
		async take(items, { traceparent }) {
			if (waitingItems + items.length > limits.ingest_waiting_max) throw new LogUnavailable(`${waitingItems} events wait for the log already`);
			const parsed = items.map((item): EventInput | FieldError[] => {
				if ('malformed' in item) return [{ path: '', message: item.malformed }];
				const result = parse(eventInput, item.value);
				return result.ok ? result.value : result.errors;
			});
			return new Promise((resolve, reject) => {
				waiting.push({ items: parsed, traceparent, resolve, reject });
				waitingItems += items.length;
				running ??= new Promise<void>((done) => setImmediate(done)).then(flush).finally(() => {
					running = undefined;
				});
			});
		},
		append: (records) => append(records),
		trouble() {
			// Nobody sends to a door that is not ready: after a while without a try it asks for one.
			if (!refusing || Date.now() - refusing.last > limits.log_retry_ms) return null;
			return `The log takes nothing since ${formatInstant(refusing.since)}: ${refusing.why.slice(0, 100)}; ${waitingItems} events wait.`;
		},
		waiting: () => waitingItems,
		async close() {
			await running;
		},
	};
}
