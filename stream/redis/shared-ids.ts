import { createHash, createHmac } from 'node:crypto';
import * as z from 'zod';
import { limits } from '#schemas/limits.ts';
import { pages } from './pages.ts';
import type { RedisClient } from './redis-client.ts';

/** Of another form nothing is read. */
const FORM = 1;
const BYTES = 16;

/** An event as the doors compare it: `payload` is a digest of what was sent, `timestamp` null when the producer gave none. */
export interface SharedEvent {
	event_id: string;
	payload: Buffer;
	timestamp: number | null;
}

const sharedEvent = z.strictObject({
	form: z.literal(FORM),
	/** Names the secret behind `payload`: what another secret sealed cannot be compared. */
	seal: z.string(),
	payload: z.string(),
	timestamp: z.int().nullable(),
});

/**
 * The event ids that several doors answered 2xx, shared for a day. Never the only guard: what is not known here is judged by the door's own memory, and the
 * fold counts an id once in any case.
 */
export interface SharedIds {
	/** The events that these ids were given to at any door, by id; their payloads are sealed. Empty where nothing is known. Never throws, takes 50 ms at most. */
	find(eventIds: readonly string[]): Promise<Map<string, SharedEvent>>;
	/** A payload's digest as `find` answers it: a digest alone could be guessed back to the user's id behind it. */
	seal(payload: Buffer): Buffer;
	/** Behind the answer: returns at once and never throws. The log must have these events. */
	remember(events: readonly SharedEvent[]): void;
	/** `found`: ids known here; `unasked`: ids beyond the bound of one question. */
	readonly counts: { found: number; unasked: number; remembered: number };
	/** Waits for what is under way. */
	close(): Promise<void>;
}

/** `event:<22 characters>`: the id itself, which is the producer's word, is not in Redis. */
const keyOf = (eventId: string): string => `event:${createHash('sha256').update(eventId).digest().subarray(0, BYTES).toString('base64url')}`;

/** @param options.pepper the secret that the doors share; it keys the users' hashes too. */
export function openSharedIds(options: { redis: RedisClient; pepper: string }): SharedIds {
	const { redis, pepper } = options;
	const mac = (about: string, data: Uint8Array) => createHmac('sha256', pepper).update(`surgecast ${about}\n`).update(data).digest().subarray(0, BYTES);
	const seal = mac('seal', new Uint8Array())
		.subarray(0, BYTES / 2)
		.toString('base64url');
	const counts = { found: 0, unasked: 0, remembered: 0 };
	const writing = new Set<Promise<void>>();

	function read(text: string | null): Omit<SharedEvent, 'event_id'> | undefined {
		if (text === null || text.length > limits.redis_value_chars_max) return undefined;
		try {
			const { data } = sharedEvent.safeParse(JSON.parse(text));
			const payload = Buffer.from(data?.payload ?? '', 'base64url');
			return data?.seal === seal && payload.length === BYTES ? { payload, timestamp: data.timestamp } : undefined;
		} catch {
			return undefined; // somebody else's
		}
	}

	return {
		counts,
		seal: (payload) => mac('payload', payload),
		async find(eventIds) {
			const asked = eventIds.slice(0, limits.redis_ids_max);
			counts.unasked += eventIds.length - asked.length;
			const values = await redis.get(asked.map(keyOf));
			const found = new Map<string, SharedEvent>();
			for (const [index, event_id] of asked.entries()) {
				const event = read(values?.[index] ?? null);
				if (event) found.set(event_id, { event_id, ...event });
			}
			counts.found += found.size;
			return found;
		},
		remember(events) {
			const write = async (): Promise<void> => {
				for (const page of pages(events, limits.redis_ids_max)) {
					const entries = page.map(({ event_id, payload, timestamp }) => ({
						key: keyOf(event_id),
						value: JSON.stringify({ form: FORM, seal, payload: mac('payload', payload).toString('base64url'), timestamp }),
						seconds: limits.redis_ids_seconds,
					}));
					if (await redis.set(entries)) counts.remembered += page.length;
				}
			};
			const written = write().finally(() => writing.delete(written));
			writing.add(written);
		},
		async close() {
			await Promise.all(writing);
		},
	};
}
