import type { Configuration } from '#control-plane/configuration.ts';
import { mintToken } from '#control-plane/keys.ts';
import type { PriceAnswer } from '#schemas/price.ts';
import { wallClock } from '#stream/clock.ts';
import { openCity } from './city/city.ts';
import { openSimulation, type Simulation } from './city/simulate.ts';
import { startProduct } from './product.ts';
import { sampleRegions } from './sample/regions.ts';
import { openView } from './view.ts';

const CITY_ZONES = 60;
const TOKEN_SECONDS = 30 * 24 * 3600;

/** npm start: the product, the city unless it is not wanted, what runs where, and the view. Returns when it is ready; runs on until `onStop`'s close. */
export async function run(options: {
	configuration: Configuration;
	simulate: boolean;
	seed: number;
	onStop: (close: () => Promise<void>) => void;
}): Promise<void> {
	const { configuration, simulate, seed, onStop } = options;
	const started = performance.now();
	const product = await startProduct(configuration, { clock: wallClock });
	const { audience } = configuration.auth;
	const minted = new Map<string, string>();
	const token = async (role: 'client' | 'producer', subject: string) => {
		const held = minted.get(subject) ?? (await mintToken(product.keys, { role, subject, ttl_seconds: TOKEN_SECONDS, audience }));
		minted.set(subject, held);
		return held;
	};
	let simulation: Simulation | undefined;
	let closeView: () => void = () => undefined;
	onStop(async () => {
		closeView();
		await simulation?.stop();
		await product.close();
	});
	if (simulate) {
		const zones = sampleRegions({ profiles: true })
			.filter(({ profile }) => profile)
			.sort((a, b) => sum(b.profile) - sum(a.profile))
			.slice(0, CITY_ZONES)
			.map(({ region_id, time_zone, profile }) => ({ region_id, time_zone, profile: profile ?? [] }));
		simulation = openSimulation(
			openCity(zones, { seed }),
			{
				edge: product.urls.edge,
				ingest: product.urls.ingest,
				clientToken: () => token('client', 'simulated-city-clients'),
				producerToken: () => token('producer', 'simulated-city'),
			},
			{ lateness_ms: configuration.latenessSeconds * 1000 },
		);
		await simulation.past(product.stream.resumed_from);
		simulation.start();
	}
	const curl = `curl -s ${product.urls.edge}/api/v1/price -H 'content-type: application/json' -H 'authorization: Bearer ${await token('client', 'local-client')}' -d '{"region_id":"${simulate ? 'nyc-161' : 'sg-central'}","product_type":"standard_ride"}'`;
	console.log(
		[
			`edge            ${product.urls.edge}   prices (two Workers in workerd)`,
			`control plane   ${product.urls.control_plane}   rules, releases, decisions; the API of all doors at ${product.urls.control_plane}/docs`,
			`ingestion       ${product.urls.ingest}   events`,
			`data            ${configuration.dataDir}`,
			simulate
				? `city            SIMULATED: ${CITY_ZONES} busiest taxi zones of New York, seed ${seed}`
				: 'city            none: events come from outside only',
			`other tokens    npm run --silent token -- --role producer|viewer|analyst|author|operator|admin`,
			'',
			`ready in ${((performance.now() - started) / 1000).toFixed(1)} s; token of role client:`,
			await token('client', 'local-client'),
			'',
			'Try it:',
			curl,
			'',
		].join('\n'),
	);
	const { stream } = product;
	closeView = openView({
		answers: simulation?.answers ?? new Map<string, PriceAnswer>(),
		names: (id) => product.catalogue.get(id)?.name ?? '',
		simulated: simulate,
		bursts: () => simulation?.bursts ?? [],
		counts: () => ({
			events: stream.intake.counts.accepted,
			prices: simulation?.counts.prices ?? stream.sinks.decisions.counts.stored,
			failures: simulation?.counts.failures ?? 0,
		}),
		trouble: () => stream.worker.trouble() ?? stream.sinks.trouble(),
	});
}

const sum = (values: readonly number[] | null): number => (values ?? []).reduce((total, value) => total + value, 0);
