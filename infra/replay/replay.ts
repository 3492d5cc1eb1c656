import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import type { Configuration } from '#control-plane/configuration.ts';
import { mintToken } from '#control-plane/keys.ts';
import type { EventResult } from '#schemas/event.ts';
import { parseInstant } from '#schemas/instant.ts';
import { limits } from '#schemas/limits.ts';
import { eventTopics } from '#schemas/topic.ts';
import { encodeTick } from '#stream/avro/codec.ts';
import { virtualClock } from '#stream/clock.ts';
import { startProduct } from '../product.ts';
import { sampleRegions } from '../sample/regions.ts';
import { readTrips, type Trip } from './trips.ts';

const STEP_MS = 60_000;
const TOKEN_SECONDS = 30 * 24 * 3600;
const DRAIN_MS = 60_000;

/** Where every row of the files went. */
export interface ReplayAccount {
	rows: number;
	accepted: number;
	late: number;
	refused: Record<string, number>;
}

function instantOption(name: string, text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	const at = parseInstant(text);
	if (Number.isNaN(at)) throw new Error(`Cannot replay: --${name} is "${text}", wanted is a time with an offset, like 2023-01-08T00:00:00-05:00`);
	return at;
}

/** One line that tells how far it is: rewritten in a terminal, every five seconds elsewhere. */
function progress(): (text: string, last?: boolean) => void {
	let told = 0;
	return (text, last = false) => {
		if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text}${last ? '\n' : ''}`);
		else if (last || Date.now() - told > 5000) {
			told = Date.now();
			console.log(text);
		}
	};
}

/**
 * npm start -- --replay: plays trip files on a city clock. Each step of at most 60 city seconds asks a price for every trip of it, appends the bookings,
 * ends with a tick in every partition, and is done when every Shard has acknowledged what was folded. Ends with the account of every row.
 */
export async function replay(options: {
	configuration: Configuration;
	files: readonly string[];
	speed: string | undefined;
	from: string | undefined;
	to: string | undefined;
	onStop: (close: () => Promise<void>) => void;
}): Promise<void> {
	const { configuration, files, onStop } = options;
	const speed = options.speed === undefined ? Number.POSITIVE_INFINITY : Number(options.speed);
	if (!(speed > 0)) throw new Error(`Cannot replay: --speed is "${options.speed}", wanted is a number above 0`);
	for (const file of files) if (!existsSync(file)) throw new Error(`Cannot replay "${file}": there is no such file`);
	const tell = progress();
	const regions = new Set(sampleRegions({ profiles: false }).map(({ region_id }) => region_id));
	const read = await readTrips(files, {
		known: (id) => regions.has(id),
		from: instantOption('from', options.from),
		to: instantOption('to', options.to),
		onProgress: (rows) => tell(`reading: ${rows} rows`),
	});
	const { trips } = read;
	const account: ReplayAccount = { rows: read.rows, accepted: 0, late: 0, refused: { ...read.refused } };
	const refuse = (reason: string) => {
		account.refused[reason] = (account.refused[reason] ?? 0) + 1;
	};
	console.log(`${read.rows} rows in ${files.length} file${files.length === 1 ? '' : 's'}, ${trips.length} to play`);
	const [first] = trips;
	const last = trips.at(-1);
	if (!first || !last) return finish(account, 0);

	const clock = virtualClock(Math.floor(first.at / STEP_MS) * STEP_MS);
	const product = await startProduct(configuration, { clock });
	let stopped = false;
	let done: () => void = () => undefined;
	const ended = new Promise<void>((resolve) => {
		done = resolve;
	});
	onStop(async () => {
		stopped = true;
		await ended;
		await product.close();
	});
	const { stream, log, urls } = product;
	clock.set(stream.worker.as_of()); // a city that was played before goes on; what lies behind it is late
	const { audience } = configuration.auth;
	const mint = (role: 'client' | 'producer') => mintToken(product.keys, { role, subject: 'replay', ttl_seconds: TOKEN_SECONDS, audience });
	const [client, producer] = await Promise.all([mint('client'), mint('producer')]);
	let prices = 0;

	async function post<T>(url: string, token: string, body: unknown): Promise<T> {
		const answer = await fetch(url, {
			method: 'POST',
			headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
			body: JSON.stringify(body),
			signal: AbortSignal.timeout(30_000),
		});
		const text = await answer.text();
		if (!answer.ok) throw new Error(`Cannot go on with the replay: ${url} answers ${answer.status} ${text.slice(0, 300)}`);
		return JSON.parse(text) as T;
	}

	async function play(span: readonly Trip[]): Promise<void> {
		for (let at = 0; at < span.length; at += limits.prices_batch_max) {
			const requests = span.slice(at, at + limits.prices_batch_max).map(({ region_id, distance_km }) => ({
				region_id,
				product_type: 'standard_ride',
				...(distance_km === null ? {} : { attributes: { distance_km } }),
			}));
			const { results } = await post<{ results: { decision_id?: string }[] }>(`${urls.edge}/api/v1/prices`, client, { requests });
			prices += results.filter(({ decision_id }) => decision_id).length;
		}
		clock.set(clock.now() + STEP_MS);
		for (let at = 0; at < span.length; at += limits.events_batch_max) {
			const events = span.slice(at, at + limits.events_batch_max).map((trip) => ({
				event_id: trip.event_id,
				event_type: 'booking',
				region_id: trip.region_id,
				timestamp: new Date(trip.at).toISOString(),
				product_type: 'standard_ride',
			}));
			const { results } = await post<{ results: EventResult[] }>(`${urls.ingest}/api/v1/events`, producer, events);
			for (const { status } of results) {
				if (status === 'accepted') account.accepted += 1;
				else refuse(status);
			}
		}
		await settle();
	}

	/** The end of a step: every partition knows what time it is, and every Shard has acknowledged what was folded until then. */
	async function settle(): Promise<void> {
		const tick = { key: 'tick', value: encodeTick(clock.now()), timestamp: clock.now() };
		await log.append(eventTopics.flatMap((topic) => Array.from({ length: log.partitions }, (_, partition) => ({ ...tick, topic, partition }))));
		await stream.worker.step();
	}

	const started = performance.now();
	const begin = clock.now();
	let next = 0;
	try {
		await settle(); // the edge must know the city's clock before the first price
		while (!stopped && (next < trips.length || clock.now() <= last.at)) {
			const from = next;
			while (next < trips.length && trips[next]!.at < clock.now() + STEP_MS) next += 1;
			await play(trips.slice(from, next));
			const seconds = (performance.now() - started) / 1000;
			const city = (clock.now() - begin) / 1000;
			if (city / seconds > speed) await new Promise((resolve) => setTimeout(resolve, (city / speed - seconds) * 1000));
			const left = ((last.at - clock.now()) / 1000 / (city / seconds)) | 0;
			tell(
				`${new Date(clock.now()).toISOString().slice(0, 16)}Z  ${((next / trips.length) * 100).toFixed(1)} %  ${account.accepted} bookings, ${prices} prices  ${Math.round(city / seconds)} x as fast as the clock  ${Math.max(0, left)} s to go`,
			);
		}
		tell(`played to ${new Date(clock.now()).toISOString()}`, true);
		// The decisions of the last step are still on their way to the store.
		const deadline = Date.now() + DRAIN_MS;
		if (!stopped) tell('waiting for the stores', true);
		while (!stopped && stream.sinks.decisions.counts.stored < prices && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
		if (!stopped) await stream.sinks.drain(DRAIN_MS);
		const { late, dead } = stream.worker.counts;
		account.accepted -= late + dead;
		account.late = late;
		if (dead > 0) account.refused['dead_letter'] = dead;
		const rest = account.rows - account.accepted - account.late - Object.values(account.refused).reduce((sum, n) => sum + n, 0);
		if (rest > 0) account.refused['not_played'] = rest;
		console.log(
			`${stream.sinks.decisions.counts.stored} of ${prices} decisions stored; features folded ${stream.worker.counts.folded}, finals ${stream.worker.counts.finals}`,
		);
	} finally {
		done();
	}
	if (stopped) {
		finish(account, performance.now() - started);
		return;
	}
	await product.close();
	console.log(`its decisions again, to the cent: SURGECAST_DATA_DIR=${relative('.', configuration.dataDir)} npm run replay-decisions`);
	finish(account, performance.now() - started);
}

function finish(account: ReplayAccount, ms: number): void {
	const refused = Object.entries(account.refused);
	console.log(
		`${account.rows} rows in ${(ms / 1000).toFixed(0)} s: ${account.accepted} accepted, ${account.late} late, ${refused.reduce((sum, [, n]) => sum + n, 0)} refused${refused.length > 0 ? ` (${refused.map(([reason, n]) => `${reason.replaceAll('_', ' ')}: ${n}`).join(', ')})` : ''}`,
	);
	console.log(JSON.stringify(account));
}
