import type { PriceAnswer } from '#schemas/price.ts';
import type { CityEvent, CitySpan } from './city.ts';

const STEP_MS = 250;
/** Just inside the lateness: what is played before the start must still count. */
const PAST_MS = 590_000;
const BATCH = 1000;

export interface Doors {
	edge: string;
	ingest: string;
	clientToken(): Promise<string>;
	producerToken(): Promise<string>;
}
export interface SimulationCounts {
	events: number;
	prices: number;
	failures: number;
}

/** Plays a city against the doors, as its producers and clients would, until stopped. */
export interface Simulation {
	readonly counts: SimulationCounts;
	/** The last answer of every region. */
	readonly answers: ReadonlyMap<string, PriceAnswer>;
	readonly bursts: readonly string[];
	/** The last ten minutes at once, so that prices are alive; from `since` (milliseconds) where an earlier run has played until then. */
	past(since: number): Promise<void>;
	start(): void;
	stop(): Promise<void>;
}

export function openSimulation(city: { play(from: number, to: number): CitySpan }, doors: Doors, options: { lateness_ms: number }): Simulation {
	const counts = { events: 0, prices: 0, failures: 0 };
	const answers = new Map<string, PriceAnswer>();
	let bursts: readonly string[] = [];
	let played = 0;
	let stopping = false;
	let running: Promise<void> | undefined;

	async function post(url: string, token: string, body: unknown): Promise<unknown> {
		const answer = await fetch(url, {
			method: 'POST',
			headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
			body: JSON.stringify(body),
			signal: AbortSignal.timeout(10_000),
		});
		const text = await answer.text();
		if (!answer.ok) throw new Error(`${url} answers ${answer.status}: ${text.slice(0, 200)}`);
		return JSON.parse(text);
	}

	async function pour(events: readonly CityEvent[]): Promise<void> {
		for (let at = 0; at < events.length; at += BATCH) {
			const { accepted } = (await post(`${doors.ingest}/api/v1/events`, await doors.producerToken(), events.slice(at, at + BATCH))) as { accepted: number };
			counts.events += accepted;
		}
	}

	async function ask(request: CitySpan['prices'][number]): Promise<void> {
		try {
			const answer = (await post(`${doors.edge}/api/v1/price`, await doors.clientToken(), { product_type: 'standard_ride', ...request })) as PriceAnswer;
			answers.set(answer.region_id, answer);
			counts.prices += 1;
		} catch {
			counts.failures += 1; // shown in the view; the city goes on
		}
	}

	async function loop(): Promise<void> {
		while (!stopping) {
			const now = Date.now();
			const span = city.play(played, now);
			played = now;
			bursts = span.bursts;
			// People look at the price first, and book then.
			await Promise.all(span.prices.slice(0, 200).map(ask));
			await pour(span.events).catch(() => {
				counts.failures += 1;
			});
			await new Promise((resolve) => setTimeout(resolve, Math.max(20, STEP_MS - (Date.now() - now))));
		}
	}

	return {
		counts,
		answers,
		get bursts() {
			return bursts;
		},
		async past(since) {
			const now = Date.now();
			played = Math.max(since, now - Math.min(PAST_MS, Math.max(0, options.lateness_ms - 10_000)));
			const events: CityEvent[] = [];
			while (played < now) {
				const to = Math.min(now, played + 5000);
				events.push(...city.play(played, to).events);
				played = to;
			}
			await pour(events);
		},
		start() {
			running ??= loop();
		},
		async stop() {
			stopping = true;
			await running;
		},
	};
}
