import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { random } from '../city/random.ts';
import { startInstance } from '../instance.ts';
import { processTree, runs } from '../processes.ts';
import { sampleRegions } from '../sample/regions.ts';
import { until } from '../until.ts';
import { drillLimits } from './drill.ts';

/**
 * kill -9 of the first start of a fresh data directory, once or twice, at any moment from 0 to the time it takes to be ready (measured first): the
 * next start completes with the whole sample. @throws with what is missing.
 */
export async function startDrill(options: { seed: number; rounds: number; tell?: (line: string) => void }): Promise<{ kills: number; ready_ms: number }> {
	const { rounds, tell = () => undefined } = options;
	const next = random(options.seed);
	const regions = sampleRegions({ profiles: false }).length;
	const first = performance.now();
	const whole = await startInstance();
	const ready_ms = Math.round(performance.now() - first);
	await whole.stop();
	whole.tidy();
	let kills = 0;
	for (let round = 1; round <= rounds; round++) {
		const directory = mkdtempSync(join(tmpdir(), 'surgecast-drill-'));
		const after: number[] = [];
		for (let left = next() < 0.5 ? 1 : 2; left > 0; left--) {
			const dying = await startInstance({ directory, ready: false });
			const ms = Math.round(next() * ready_ms);
			await Promise.race([new Promise((resolve) => setTimeout(resolve, ms)), dying.exited]);
			const family = processTree(dying.child.pid ?? 0);
			await dying.kill();
			await until('the end of every process', async () => !family.some(({ pid }) => runs(pid)), { within: drillLimits.orphans_gone_ms_max, every: 100 });
			after.push(ms);
			kills += 1;
		}
		const product = await startInstance({ directory });
		try {
			const get = async (path: string) => (await product.call('control', 'GET', `/api/v1/${path}`, { role: 'viewer' })).json;
			const known = new Set<string>();
			for (let cursor: string | null = ''; cursor !== null; ) {
				const page: { items: { region_id: string }[]; next_cursor: string | null } = await get(`regions?limit=500${cursor === '' ? '' : `&cursor=${cursor}`}`);
				for (const { region_id } of page.items) known.add(region_id);
				cursor = page.next_cursor;
			}
			const { release, rule_sets, models, missing } = await get('releases/current');
			const { status, json } = await product.call('edge', 'POST', '/api/v1/price', {
				role: 'client',
				body: { region_id: 'sg-central', product_type: 'standard_ride' },
			});
			const found = {
				regions: known.size,
				release,
				rule_sets: Object.keys(rule_sets).sort().join(' '),
				champion: models.champion !== null,
				missing,
				status,
				price: json.price,
			};
			const wanted = { regions, release: 1, rule_sets: 'city nyc', champion: true, missing: [], status: 200, price: 12 };
			if (JSON.stringify(found) !== JSON.stringify(wanted))
				throw new Error(`After kills at ${after} ms of a first start there is ${JSON.stringify(found)}, wanted is ${JSON.stringify(wanted)}`);
		} finally {
			await product.stop();
			product.tidy();
		}
		tell(`start ${round}/${rounds}: killed after ${after.join(' and ')} ms; the next start completed`);
	}
	return { kills, ready_ms };
}
