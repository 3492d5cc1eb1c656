import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { limits } from '#schemas/limits.ts';
import type { PriceAnswer } from '#schemas/price.ts';
import { random } from '../city/random.ts';
import { type Instance, startInstance } from '../instance.ts';
import { processTree, runs } from '../processes.ts';
import { until } from '../until.ts';
import { type Account, account } from './account.ts';
import { findConfiguration, findDecisions, findEmbeddedEvents } from './find.ts';
import { holdRequest } from './hold-request.ts';
import { emptyLedger } from './ledger.ts';
import { openLoad } from './load.ts';

const PARTITIONS = 8;
/** So short that finals come soon; together with the 30 s of the door, an unanswered event is sent again within it. */
const LATENESS_SECONDS = 15;
const MINUTE_MS = 60_000;
/** What the drills hold the product to. */
export const drillLimits = {
	ready_ms_max: 40_000, // from the start of the process after a kill; 4 s on an idle machine, 20 on one that does five things beside
	edge_back_ms_max: 10_000,
	stop_ms_max: 10_000,
	orphans_gone_ms_max: 10_000,
} as const;

export interface DrillReport extends Account {
	kills: number;
	unexpected: string[];
	/** The longest of its kind, milliseconds. */
	ready_ms: number;
	edge_back_ms: number;
	stop_ms: number;
}

/**
 * One product on one data directory, through many deaths under load. What a round finds wrong is thrown at once; what was counted, at the end.
 * The same seed sends the same load and kills after the same delays; what is under way by then is the machine's affair.
 */
export async function openDrill(options: { seed: number; tell?: (line: string) => void }) {
	const { tell = () => undefined } = options;
	const next = random(options.seed);
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-drill-'));
	const ledger = emptyLedger();
	const load = openLoad(ledger, next);
	/** Records that an earlier round found: they never change. */
	const checked = new Set<string>();
	const longest = { ready_ms: 0, edge_back_ms: 0, stop_ms: 0 };
	let product = await start();
	const between = (least: number, most: number): number => Math.round(least + next() * (most - least));

	async function start(): Promise<Instance> {
		const env = { LATENESS_SECONDS: String(LATENESS_SECONDS), PARTITIONS: String(PARTITIONS) };
		return startInstance({ directory, env });
	}

	/** Starts again, looks for everything that was acknowledged by the operators' door, and resends what has no answer. */
	async function again(): Promise<string> {
		const started = performance.now();
		product = await start();
		const ready_ms = Math.round(performance.now() - started);
		longest.ready_ms = Math.max(longest.ready_ms, ready_ms);
		if (ready_ms > drillLimits.ready_ms_max) throw new Error(`Ready after ${ready_ms} ms, promised are ${drillLimits.ready_ms_max}`);
		await load.settle(product);
		const records = new Map([...ledger.records].filter(([key]) => !checked.has(key)));
		const { lost } = account(
			{ ...emptyLedger(), records, registers: ledger.registers },
			{ ...nothing, ...(await findConfiguration(product, { ...ledger, records })) },
		);
		if (lost.length > 0) throw new Error(`Lost at a restart: ${lost.join('; ')}`);
		for (const key of records.keys()) checked.add(key);
		await frozenAsAcknowledged();
		return `ready in ${(ready_ms / 1000).toFixed(1)} s`;
	}

	/** The edge prices a region frozen when its freeze holds. */
	async function frozenAsAcknowledged(): Promise<void> {
		for (const [key, attempts] of ledger.registers) {
			const last = attempts.at(-1);
			if (!(key.startsWith('freeze') && last?.acknowledged)) continue;
			const body = { region_id: key.split(' ').at(-1), product_type: 'standard_ride' };
			await until(`${key} is ${last.value} at the edge`, async () => {
				const { json } = await product.call('edge', 'POST', '/api/v1/price', { role: 'client', body });
				return (json.status === 'frozen') === (last.value === 'true');
			});
		}
	}

	async function familyGone(family: readonly { pid: number }[]): Promise<void> {
		const gone = async () => !family.some(({ pid }) => runs(pid));
		await until('the end of every process', gone, { within: drillLimits.orphans_gone_ms_max, every: 100 });
	}

	const soFar = () => `${ledger.events.size} events, ${ledger.decisions.length} decisions, ${ledger.records.size} records`;

	return {
		/** kill -9 of the whole product at random moments under load. */
		async kill(rounds: number): Promise<void> {
			for (let round = 1; round <= rounds; round++) {
				const family = processTree(product.child.pid ?? 0);
				load.start(product);
				const after = between(200, 2000);
				await wait(after);
				const at = Date.now();
				await product.kill();
				await familyGone(family);
				ledger.kills.push({ at, gone: Date.now() });
				await load.end();
				tell(`kill ${round}/${rounds}: after ${after} ms of load; ${await again()}; ${soFar()}`);
			}
		},
		/** kill -9 of workerd alone: it comes back by itself. */
		async edge(rounds: number): Promise<void> {
			for (let round = 1; round <= rounds; round++) {
				load.start(product);
				const after = between(500, 2000);
				await wait(after);
				const workerd = processTree(product.child.pid ?? 0).find(({ name }) => name === 'workerd');
				if (!workerd) throw new Error('There is no workerd to kill');
				process.kill(workerd.pid, 'SIGKILL');
				const at = Date.now();
				const killed = performance.now();
				await until('the end of workerd', async () => !runs(workerd.pid));
				ledger.kills.push({ at, gone: Date.now() });
				const body = { region_id: 'sg-central', product_type: 'standard_ride' };
				const priced = async () => (await product.call('edge', 'POST', '/api/v1/price', { role: 'client', body })).status === 200;
				await until('a price again', priced, { within: drillLimits.edge_back_ms_max });
				const back_ms = Math.round(performance.now() - killed);
				longest.edge_back_ms = Math.max(longest.edge_back_ms, back_ms);
				if (back_ms > drillLimits.edge_back_ms_max) throw new Error(`Prices again after ${back_ms} ms, promised are ${drillLimits.edge_back_ms_max}`);
				await wait(1000);
				await load.end();
				await load.settle(product);
				tell(`edge ${round}/${rounds}: after ${after} ms of load; prices again after ${back_ms} ms; ${soFar()}`);
			}
		},
		/** SIGTERM under load, with a request in flight at every door: all three are answered. */
		async stop(rounds: number): Promise<void> {
			for (let round = 1; round <= rounds; round++) {
				const family = processTree(product.child.pid ?? 0);
				load.start(product);
				await wait(between(300, 1500));
				const event = { event_id: `held-${round}-${options.seed}`, region_id: 'sg-central', event_type: 'booking' } as const;
				const name = `held ${round}`;
				const held = await Promise.all([
					holdRequest(product, { door: 'ingest', role: 'producer', path: '/api/v1/events', body: event }),
					holdRequest(product, { door: 'edge', role: 'client', path: '/api/v1/price', body: { region_id: 'sg-airport', product_type: 'standard_ride' } }),
					holdRequest(product, {
						door: 'control',
						role: 'operator',
						method: 'PUT',
						path: '/api/v1/regions/drill-held',
						body: { name, time_zone: 'Asia/Singapore' },
					}),
				]);
				const signalled = performance.now();
				product.child.kill('SIGTERM');
				await wait(between(100, 600));
				const [taken, priced, put] = await Promise.all(held.map(({ finish }) => finish()));
				for (const answer of [taken, priced, put])
					if (!(answer && answer.status < 300))
						throw new Error(`A request in flight was answered ${answer?.status} ${answer?.text}\n${product.output().slice(-3000)}`);
				ledger.events.set(event.event_id, { ...event, acknowledged: true });
				const answer: PriceAnswer = JSON.parse(priced?.text ?? '');
				ledger.decisions.push({ answer, at: Date.parse(answer.decided_at) });
				ledger.registers.set('name of drill-held', [{ value: name, acknowledged: true }]);
				const code = await product.exited;
				const stop_ms = Math.round(performance.now() - signalled);
				longest.stop_ms = Math.max(longest.stop_ms, stop_ms);
				await load.end();
				if (code !== 0 || stop_ms > drillLimits.stop_ms_max) throw new Error(`SIGTERM: exit ${code} after ${stop_ms} ms\n${product.output().slice(-3000)}`);
				await familyGone(family);
				tell(`stop ${round}/${rounds}: exit 0 after ${stop_ms} ms; ${await again()}; ${soFar()}`);
			}
		},
		/** Waits for the finals of everything that was sent, stops the product, and compares. */
		async finish(): Promise<DrillReport> {
			await load.settle(product); // from here on every event is acknowledged: its count must be exact
			const minute = Math.ceil((Date.now() + 1) / MINUTE_MS) * MINUTE_MS;
			tell(`waiting for the finals of ${new Date(minute).toISOString()}`);
			const final = async () => {
				const { text } = await product.call('ingest', 'GET', '/metrics');
				return Number(/^surgecast_features_final_minute_seconds (\d+)/m.exec(text)?.[1]) * 1000 >= minute;
			};
			await until('the finals', final, { within: MINUTE_MS + LATENESS_SECONDS * 1000 + limits.stamp_to_append_ms_max + 20_000, every: 500 });
			const configuration = await findConfiguration(product, ledger);
			const code = await product.stop();
			if (code !== 0) throw new Error(`The last stop: exit ${code}\n${product.output().slice(-3000)}`);
			const found = { ...configuration, ...(await findEmbeddedEvents(directory, PARTITIONS)), decisions: await findDecisions(join(directory, 'database')) };
			return { ...account(ledger, found), kills: ledger.kills.length, unexpected: ledger.unexpected, ...longest };
		},
		/** Leaves nothing behind. */
		async tidy(): Promise<void> {
			if (product.child.exitCode === null) await product.kill();
			await load.end();
			product.tidy();
		},
	};
}

const nothing = { logged: new Set<string>(), counted: new Map<string, number>(), decisions: new Map() };

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
