// npm run soak -- [--minutes 10]: the product with its simulated city and a steady load of prices, and what its processes hold in memory.
import { parseArgs } from 'node:util';
import { type Instance, startInstance } from '../instance.ts';
import { processTree } from '../processes.ts';
import { sampleRegions } from '../sample/regions.ts';
import { GROWTH_MAX, growth } from './growth.ts';

const HELP = `npm run soak -- [--minutes 10] [--prices 200]
Starts the product with the simulated city and asks for so many prices a second. Prints the resident memory of every process each minute and, as its
last line, the figures as JSON. Exit 1 when a process holds more than ${GROWTH_MAX} times of what it held at half time, or ends.`;
const MINUTE_MS = 60_000;
const TICK_MS = 100;

const { values } = parseArgs({ options: { minutes: { type: 'string' }, prices: { type: 'string' }, help: { type: 'boolean' } } });
if (values.help) {
	console.log(HELP);
	process.exit(0);
}
const length = Number(values.minutes ?? 10);
const perSecond = Number(values.prices ?? 200);
if (!(Number.isInteger(length) && length >= 1 && perSecond >= 0)) {
	console.error(`Cannot soak for --minutes ${values.minutes} with --prices ${values.prices}: wanted are a whole number of minutes from 1 and a rate from 0`);
	process.exit(1);
}

/** A steady load, in portions; those that the machine does not manage are left out, not heaped up. */
function load(product: Instance) {
	const regions = sampleRegions({ profiles: false }).map(({ region_id }) => region_id);
	const counts = { priced: 0, failed: 0, skipped: 0 };
	let open = 0;
	let sent = 0;
	const timer = setInterval(() => {
		for (let n = 0; n < (perSecond * TICK_MS) / 1000; n++) {
			if (open >= perSecond) {
				counts.skipped += 1;
				continue;
			}
			open += 1;
			const body = { region_id: regions[sent++ % regions.length], product_type: 'standard_ride', user_id: `u-${sent % 5000}` };
			product
				.call('edge', 'POST', '/api/v1/price', { role: 'client', body })
				.then(
					({ status }) => (counts[status === 200 ? 'priced' : 'failed'] += 1),
					() => (counts.failed += 1),
				)
				.finally(() => (open -= 1));
		}
	}, TICK_MS);
	return { counts, stop: () => clearInterval(timer) };
}

/** Resident bytes by process; what is too small to matter is left out. */
function resident(product: Instance): Record<string, number> {
	const rows = processTree(product.child.pid ?? 0).map(({ pid, name, resident_bytes }) => [pid === product.child.pid ? 'main' : name, resident_bytes] as const);
	return Object.fromEntries(rows.filter(([, bytes]) => bytes > 10 * 1024 * 1024));
}

const product = await startInstance({ args: ['--seed', '1'] });
let code = 1;
try {
	const prices = load(product);
	const started = performance.now();
	const minutes: Record<string, number>[] = [];
	for (let minute = 1; minute <= length; minute++) {
		await Promise.race([new Promise((resolve) => setTimeout(resolve, started + minute * MINUTE_MS - performance.now())), product.exited]);
		if (product.child.exitCode !== null) throw new Error(`The product ended with ${product.child.exitCode}\n${product.output().slice(-3000)}`);
		const held = resident(product);
		minutes.push(held);
		const shown = Object.entries(held).map(([name, bytes]) => `${name} ${Math.round(bytes / 1024 / 1024)} MiB`);
		console.log(`minute ${minute}: ${shown.join(', ')}; ${prices.counts.priced} prices, ${prices.counts.failed} failed, ${prices.counts.skipped} left out`);
	}
	prices.stop();
	const grown = growth(minutes);
	for (const line of grown) console.error(line);
	const at = Object.fromEntries([...new Set([1, Math.ceil(length / 2), length])].map((minute) => [minute, minutes[minute - 1]]));
	console.log(JSON.stringify({ minutes: length, resident_bytes: at, ...prices.counts, grown }));
	code = grown.length === 0 ? 0 : 1;
} finally {
	await product.stop();
	product.tidy();
}
process.exit(code);
