// npm run bench -- NAME: a benchmark; prints a table, and as its last line one JSON object {name, figures}.
import type { BenchResult } from './bench-result.ts';

const benches: Record<string, { what: string; load: () => Promise<{ bench: (args: string[]) => Promise<BenchResult> }> }> = {
	edge: { what: 'prices of the two built Workers in plain workerd beside a JSON echo Worker of the same bytes', load: () => import('./edge.ts') },
	forecast: {
		what: "runs of the sample's champion beside pulse, opening it, and a cold Shard until it forecasts, in plain workerd",
		load: () => import('./forecast.ts'),
	},
	decide: { what: 'nanoseconds a decision in Node, with 0, 20 and 200 adjustments', load: () => import('./decide.ts') },
	stream: { what: 'events a CPU-second through fold and checkpoint; from the POST of an event to a price that reflects it', load: () => import('./stream.ts') },
	kafka: {
		what: 'the feature worker on Kafka beside a naive consumer; 50,000 events a second for a minute; the age of a price by way of Kafka',
		load: () => import('./kafka.ts'),
	},
	audit: { what: 'decisions into PostgreSQL and ClickHouse by the sinks beside VALUES of many rows', load: () => import('./audit.ts') },
};

const [name = '', ...args] = process.argv.slice(2);
const chosen = benches[name];
if (!chosen) {
	console.error(
		`npm run bench -- NAME\n${Object.entries(benches)
			.map(([key, { what }]) => `  ${key.padEnd(8)} ${what}`)
			.join('\n')}`,
	);
	process.exit(1);
}
const { bench } = await chosen.load();
const result = await bench(args);
console.log(JSON.stringify(result));
process.exit(0);
