import { benchFold } from '#stream/bench-fold.ts';
import { startInstance, until } from '../instance.ts';
import type { BenchResult } from './bench-result.ts';
import { median, percentile, table } from './table.ts';

const ROUNDS = 3;
const TRIALS = 200;

/** Milliseconds from the POST of a booking until a price reflects it, one at a time, against a running product. */
async function freshness(): Promise<number[]> {
	const product = await startInstance();
	try {
		const region = 'sg-central';
		const price = async () =>
			(await product.call('edge', 'POST', '/api/v1/price', { role: 'client', body: { region_id: region, product_type: 'standard_ride' } })).json;
		const post = () => product.call('ingest', 'POST', '/api/v1/events', { role: 'producer', body: { event_type: 'booking', region_id: region } });
		await post();
		await until('a first price with features', async () => (await price()).versions.features !== null);
		const taken: number[] = [];
		for (let trial = 0; trial < TRIALS; trial++) {
			// Events come when they come: without this every trial would begin right after a copy was refreshed, and wait for the whole of its time.
			const idle_until = performance.now() + Math.random() * 500;
			while (performance.now() < idle_until) await price();
			const before = (await price()).versions.features_as_of as string;
			const started = performance.now();
			const posted = Date.now();
			await post();
			// The features that a price stands on were folded up to an instant after the booking.
			await until(
				'a price that reflects the booking',
				async () => Date.parse((await price()).versions.features_as_of) >= posted && (await price()).versions.features_as_of !== before,
				{ every: 2 },
			);
			taken.push(performance.now() - started);
		}
		return taken;
	} finally {
		await product.stop();
		product.tidy();
	}
}

export async function bench(): Promise<BenchResult> {
	const folds = [];
	for (let round = 0; round < ROUNDS; round++) folds.push(await benchFold({ events: 300_000, regions: 1000 }));
	const rates = folds.map(({ events_per_cpu_second }) => events_per_cpu_second);
	console.log(
		table([
			['fold + checkpoint from the embedded log', 'median', 'min', 'max'],
			['events per CPU-second', median(rates), Math.min(...rates), Math.max(...rates)],
		]),
	);
	const taken = await freshness();
	const [p50, p99] = [percentile(taken, 0.5), percentile(taken, 0.99)];
	console.log(
		table([
			['from POST to a price that reflects it', 'p50 ms', 'p99 ms'],
			[`${TRIALS} bookings, one at a time`, p50, p99],
		]),
	);
	return {
		name: 'stream',
		figures: { events_per_cpu_second: Math.round(median(rates)), freshness_p50_ms: Math.round(p50), freshness_p99_ms: Math.round(p99) },
	};
}
