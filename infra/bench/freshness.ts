import { startInstance } from '../instance.ts';
import { until } from '../until.ts';

const TRIALS = 200;

/** Milliseconds from the POST of a booking until a price reflects it, one at a time, against a running product. @param env LOG_URL, DATABASE_URL. */
export async function freshness(env: Record<string, string> = {}): Promise<number[]> {
	const product = await startInstance({ env });
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
