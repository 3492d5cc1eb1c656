import * as z from 'zod';
import { type CachedPrice, cachedPrice, cachedPriceKey } from '#schemas/cached-price.ts';
import type { DecisionRecord } from '#schemas/decision.ts';
import { parseInstant } from '#schemas/instant.ts';
import { limits } from '#schemas/limits.ts';
import type { Clock } from '../clock.ts';
import type { EventLog } from '../log/event-log.ts';
import { openSink } from '../sinks/open-sink.ts';
import type { Sink } from '../sinks/sink.ts';
import { type SinkGroup, sinkGroups } from '../sinks/sink-groups.ts';
import { pages } from './pages.ts';
import type { RedisClient } from './redis-client.ts';

const GROUP: SinkGroup = 'prices-to-redis';

/**
 * Sets each price unless a newer one is there; answers how many it set. KEYS: the prices' keys. ARGV: the latest decided_at that is believed, then for each key
 * its decided_at, its life in milliseconds and its text. What is there and is no such price (another type, garbage, an instant far ahead) is replaced.
 */
const SET_NEWER = `
local written = 0
for i, key in ipairs(KEYS) do
	local decided, life, text = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
	local held = redis.pcall('GET', key)
	local at = type(held) == 'string' and string.match(held, '"decided_at":"(%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ)"')
	if not (at and at > decided and at <= ARGV[1]) then
		redis.call('SET', key, text, 'PX', life)
		written = written + 1
	end
end
return written`;

/** Where prices are looked up by partners: the latest of each region and product, for a minute. */
export interface PriceCache extends Sink {
	/** `cached`: prices written; `kept`: a newer one was there; `lost`: Redis was away. Of a batch only the latest decisions are written. */
	readonly counts: Sink['counts'] & { readonly cached: number; readonly kept: number; readonly lost: number };
}

/** What a decision read that anybody's request has in common: the rest of it is of no interest here. */
const anybodys = z.object({
	request: z.object({ bucket: z.null(), attributes: z.strictObject({}) }),
	user_hash: z.null(),
	arm: z.literal('champion'),
	experiment: z.null(),
});

/**
 * The price of a decision that anybody would have got at that moment, or undefined. Not one that depends on who asked or on what was said of the ride: a user
 * (rules may read their bucket, canary and experiments choose by it), another arm than the champion, an attribute (a distance above all). Never throws on data.
 */
export function sharedPrice({ decision_id, region_id, decided_at, answer, inputs }: DecisionRecord): CachedPrice | undefined {
	if (!anybodys.safeParse(inputs).success || Number.isNaN(new Date(decided_at).getTime())) return undefined;
	const { product_type, price, amount_minor, currency, base_price, surge_multiplier, status, valid_until, versions } = answer ?? {};
	const own = { decision_id, region_id, product_type, price, amount_minor, currency, base_price, surge_multiplier, status };
	return cachedPrice.safeParse({ ...own, decided_at: new Date(decided_at).toISOString(), valid_until, versions }).data;
}

/**
 * Topic pricing-decisions into `price:<region_id>:<product_type>`. A cache, not evidence: what Redis does not take is gone, the position moves on, and nothing
 * waits. A decision older than a minute, by the deployment clock, is not written; an older one never replaces a newer one.
 */
export async function openPriceCache(options: {
	log: EventLog;
	redis: RedisClient;
	clock: Clock;
	onTrouble?: (text: string) => void;
	retry_ms?: number;
}): Promise<PriceCache> {
	const { redis, clock } = options;

	async function write(prices: readonly CachedPrice[]): Promise<void> {
		const now = clock.now();
		const entries = prices.flatMap((price) => {
			const { region_id, product_type, decided_at, valid_until } = price;
			// Neither longer than a minute after the decision nor beyond the price's own validity.
			const life = Math.floor(Math.min(limits.price_cache_ms, parseInstant(decided_at) + limits.price_cache_ms - now, parseInstant(valid_until) - now));
			return life > 0 ? [{ key: cachedPriceKey(region_id, product_type), args: [decided_at, String(life), JSON.stringify(price)] }] : [];
		});
		const believed = new Date(now + limits.price_cache_ahead_ms).toISOString();
		for (const page of pages(entries, limits.price_cache_entries_max)) {
			const written = await redis.run(SET_NEWER, { keys: page.map(({ key }) => key), args: [believed, ...page.flatMap(({ args }) => args)] });
			if (written === undefined) counts.lost += page.length;
			else {
				counts.cached += written;
				counts.kept += page.length - written;
			}
		}
	}

	const sink = await openSink({
		...options,
		group: GROUP,
		topics: sinkGroups[GROUP],
		kinds: ['decision', 'snapshot'],
		what: 'the price cache',
		async write({ records }) {
			const latest = new Map<string, CachedPrice>();
			for (const { decoded } of records) {
				if (decoded.kind !== 'decision' || clock.now() - decoded.record.decided_at >= limits.price_cache_ms) continue;
				const price = sharedPrice(decoded.record);
				if (!price) continue;
				const key = cachedPriceKey(price.region_id, price.product_type);
				const before = latest.get(key);
				if (!before || before.decided_at <= price.decided_at) latest.set(key, price);
			}
			await write([...latest.values()]);
			return undefined;
		},
	});
	// The mover's own counts, and ours beside them.
	const counts = Object.assign(sink.counts, { cached: 0, kept: 0, lost: 0 });
	return { ...sink, counts };
}
