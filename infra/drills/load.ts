import { limits } from '#schemas/limits.ts';
import type { Answered, Doors } from '../doors.ts';
import { sampleRuleSets } from '../sample/rule-sets.ts';
import type { Attempt, Ledger, SentEvent } from './ledger.ts';

/** Of all partitions, busy and quiet, with and without a past. */
const REGIONS = ['sg-central', 'sg-airport', 'nyc-4', 'nyc-13', 'nyc-48', 'nyc-79', 'nyc-132', 'nyc-161', 'nyc-230', 'nyc-237'];
const OWN_REGIONS = 8;
const BATCH = 20;
/** Acknowledged batches that are sent again now and then. */
const REMEMBERED = 50;
const POSTERS = 2;
const CLIENTS = 3;

/** Clients, producers and operators against a product that may die any time, over all its lives. What they hear stands in the ledger. */
export interface Load {
	readonly ledger: Ledger;
	/** Goes on until end(), through failures; what was not answered in an earlier life is sent again first. */
	start(product: Doors): void;
	/** Ends what is under way; call it after the product's death, or to leave it in peace. */
	end(): Promise<void>;
	/** Sends again whatever has no answer, until all have. @throws at a refusal. */
	settle(product: Doors): Promise<void>;
}

/** JSON with sorted keys, so that equal records are equal texts. */
export function canonical(value: unknown): string {
	return JSON.stringify(value, (_, inner) =>
		typeof inner === 'object' && inner !== null && !Array.isArray(inner)
			? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
			: inner,
	);
}

/** @param next random numbers in [0, 1). */
export function openLoad(ledger: Ledger, next: () => number): Load {
	const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
	const regions = [...REGIONS];
	let unanswered: SentEvent[][] = [];
	const answered: SentEvent[][] = [];
	let made = 0;
	let ending = true;
	let running: Promise<unknown> = Promise.resolve();

	function batch(): SentEvent[] {
		return Array.from({ length: BATCH }, (): SentEvent => {
			made += 1;
			const chance = next();
			return { event_id: `e-${made}`, region_id: pick(regions), event_type: chance < 0.6 ? 'booking' : chance < 0.85 ? 'search' : 'cancel' };
		});
	}

	/** Without timestamps: the door stamps them, and a resend equals the first. False when there was no 2xx. */
	async function post(product: Doors, events: SentEvent[]): Promise<boolean> {
		for (const event of events) if (!ledger.events.has(event.event_id)) ledger.events.set(event.event_id, { ...event, acknowledged: false });
		const answer = await product.call('ingest', 'POST', '/api/v1/events', { role: 'producer', body: events }).catch(() => undefined);
		if (answer?.status === 202) {
			for (const { event_id } of events) ledger.events.get(event_id)!.acknowledged = true;
			return true;
		}
		if (answer) expected(answer, 'events');
		return false;
	}

	/** Anything but a 2xx and a 503 is a defect. */
	function expected(answer: Answered, what: string): boolean {
		if (answer.status >= 200 && answer.status < 300) return true;
		if (answer.status !== 503) ledger.unexpected.push(`${what}: ${answer.status} ${answer.text.slice(0, 300)}`);
		return false;
	}

	async function producer(product: Doors): Promise<void> {
		while (!ending) {
			const events = unanswered.pop() ?? (answered.length > 0 && next() < 0.15 ? pick(answered) : batch());
			if (await post(product, events)) {
				answered.push(events);
				if (answered.length > REMEMBERED) answered.shift();
			} else unanswered.push(events);
			await pause(20);
		}
	}

	async function client(product: Doors): Promise<void> {
		while (!ending) {
			const one = () => ({ region_id: pick(regions), product_type: 'standard_ride', user_id: `u-${Math.floor(next() * 1000)}` });
			const many = next() < 0.2;
			const body = many ? { requests: Array.from({ length: 10 }, one) } : one();
			const answer = await product.call('edge', 'POST', many ? '/api/v1/prices' : '/api/v1/price', { role: 'client', body }).catch(() => undefined);
			if (answer && expected(answer, 'price')) {
				for (const price of many ? answer.json.results : [answer.json]) {
					if ('decision_id' in price) ledger.decisions.push({ answer: price, at: Date.parse(price.decided_at) });
					else if (price.status !== 503) ledger.unexpected.push(`price: ${JSON.stringify(price)}`);
				}
			}
			await pause(answer ? 5 : 20);
		}
	}

	/** A write of a value that later ones replace. */
	async function write(key: string, value: string, call: () => Promise<Answered>): Promise<boolean> {
		const attempt: Attempt = { value, acknowledged: false };
		ledger.registers.set(key, [...(ledger.registers.get(key) ?? []), attempt]);
		const answer = await call().catch(() => undefined);
		attempt.acknowledged = answer !== undefined && expected(answer, key);
		return attempt.acknowledged;
	}

	async function operator(product: Doors): Promise<void> {
		while (!ending) {
			const region = `drill-${Math.floor(next() * OWN_REGIONS)}`;
			made += 1;
			const name = `name ${made}`;
			if (next() < 0.4) {
				const body = { name, time_zone: 'Asia/Singapore' };
				const kept = await write(`name of ${region}`, name, () => product.call('control', 'PUT', `/api/v1/regions/${region}`, { role: 'operator', body }));
				if (kept && !regions.includes(region)) regions.push(region);
			} else if (next() < 0.5 && regions.includes(region)) {
				const frozen = next() < 0.5;
				await write(`freeze of ${region}`, String(frozen), () =>
					product.call('control', 'PUT', `/api/v1/regions/${region}/freeze`, { role: 'operator', body: { frozen } }),
				);
			} else await publish(product);
			await pause(30);
		}
	}

	/** Saves a rule set of a price of its own, and publishes it. */
	async function publish(product: Doors): Promise<void> {
		const [city] = sampleRuleSets;
		const base_price = `${10 + (made % 10)}.${String(made % 100).padStart(2, '0')}`;
		const document = { ...city, products: { standard_ride: { base_price, per_km: '0', minimum: '6.00' } } };
		const saved = await product.call('control', 'POST', '/api/v1/rule-sets', { role: 'author', body: document }).catch(() => undefined);
		if (!(saved && expected(saved, 'a rule set'))) return;
		const { version } = saved.json;
		ledger.records.set(`rule set ${version}`, canonical(document));
		const published = await product.call('control', 'POST', `/api/v1/rule-sets/${version}/publish`, { role: 'operator' }).catch(() => undefined);
		if (published && expected(published, 'a release')) ledger.records.set(`rule set city of release ${published.json.release}`, String(version));
	}

	return {
		ledger,
		start(product) {
			ending = false;
			const times = (n: number, run: (product: Doors) => Promise<void>) => Array.from({ length: n }, () => run(product));
			running = Promise.all([...times(POSTERS, producer), ...times(CLIENTS, client), operator(product)]);
		},
		async end() {
			ending = true;
			await running;
		},
		async settle(product) {
			const waiting = unanswered;
			unanswered = [];
			const deadline = Date.now() + limits.stamp_to_append_ms_max;
			for (const events of waiting)
				while (!(await post(product, events))) {
					if (Date.now() > deadline) throw new Error(`${events.length} events get no answer`);
					await pause(50);
				}
		},
	};
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
