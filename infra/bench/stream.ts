import { benchFold } from '#stream/bench-fold.ts';
import type { BenchResult } from './bench-result.ts';
import { freshness } from './freshness.ts';
import { median, percentile, table } from './table.ts';

const ROUNDS = 3;

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
			[`${taken.length} bookings, one at a time`, p50, p99],
		]),
	);
	return {
		name: 'stream',
		figures: { events_per_cpu_second: Math.round(median(rates)), freshness_p50_ms: Math.round(p50), freshness_p99_ms: Math.round(p99) },
	};
}
