import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { localJwks, openKeys, serviceJwks, signText } from '#control-plane/keys.ts';
import { type FeatureName, featureNames } from '#schemas/feature.ts';
import { modelManifest } from '#schemas/model-manifest.ts';
import { freePort } from '../free-port.ts';
import { sampleChampion } from '../sample/champion.ts';
import { sampleRuleSets } from '../sample/rule-sets.ts';
import type { BenchResult } from './bench-result.ts';
import { median, table } from './table.ts';
import { startWorkerd, type Workerd } from './workerd.ts';

const ROUNDS = 9;
const ROUND_MS = 400;
const ROWS = 150;
const COLD_STARTS = 7;

const root = resolve(import.meta.dirname, '../..');
const quoted = (text: string) => JSON.stringify(text);

/** The Shard and its models as they are, with a door of the bench's own; the time is taken outside, since a Worker's clock may stand still. */
const WORKER = `
import { forecastRows, loadModel } from ${quoted(join(root, 'edge/shard/loaded-model.ts'))};
export { Shard } from ${quoted(join(root, 'edge/shard/shard.ts'))};
let model;
export default {
	async fetch(request, env) {
		const { pathname, searchParams } = new URL(request.url);
		const shard = env.SHARD.getByName('shard/0');
		switch (pathname) {
			case '/load': {
				const { reference } = await request.json();
				model = await loadModel(reference, env);
				return new Response();
			}
			case '/run': {
				const { rows } = await request.json();
				const by = searchParams.get('by') === 'model' ? model : undefined;
				let made;
				for (let i = Number(searchParams.get('times')); i > 0; i--) made = await forecastRows(by, rows);
				return Response.json(made?.forecasts.map((forecast) => forecast.model) ?? []);
			}
			case '/seed': {
				const { pointer, bodies, entries, frame } = await request.json();
				await shard.takeEntries(entries);
				await shard.takeRelease(pointer, bodies);
				await shard.takeFrame(frame);
				return new Response();
			}
			case '/forecast': {
				const { snapshots } = JSON.parse(await shard.refresh({ regions: [['bench-0', null]], bodies: [], keys: null }));
				return new Response(snapshots[0]?.forecasts?.champion.model);
			}
			default:
				return new Response();
		}
	},
};
`;
/** Workers KV with one model in it. */
const KV = `
import model from 'model.onnx';
import manifest from 'manifest.json';
export default { fetch: (request) => new Response(decodeURIComponent(new URL(request.url).pathname).startsWith('/model/') ? model : manifest) };
`;

/** Bundles the worker as wrangler would deploy it and writes the parts beside it. Returns the names of its .wasm files. */
function bundleWorker(directory: string, { manifest, bytes }: { manifest: string; bytes: Uint8Array }): string[] {
	writeFileSync(join(directory, 'bench.js'), WORKER);
	writeFileSync(join(directory, 'model.onnx'), bytes);
	writeFileSync(join(directory, 'manifest.json'), manifest);
	writeFileSync(
		join(directory, 'wrangler.toml'),
		'name = "bench"\nmain = "bench.js"\ncompatibility_date = "2026-10-01"\npreserve_file_names = true\nsend_metrics = false\n',
	);
	const out = join(directory, 'out');
	const ran = spawnSync(join(root, 'node_modules/.bin/wrangler'), ['deploy', '--dry-run', '--config', join(directory, 'wrangler.toml'), '--outdir', out], {
		cwd: root,
		env: { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: '1' },
		encoding: 'utf8',
	});
	if (ran.status !== 0) throw new Error(`Cannot bundle the bench's worker:\n${ran.stdout}${ran.stderr}`);
	return readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.wasm'));
}

const config = (port: number, options: { wasm: readonly string[]; bindings: Record<string, string> }) => `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .main), (name = "kv", worker = .kv), (name = "disk", disk = (path = "objects", writable = true)) ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
const main :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "out/bench.js")${options.wasm.map((file) => `, (name = ${quoted(file)}, wasm = embed ${quoted(`out/${file}`)})`).join('')}],
  compatibilityDate = "2026-10-01",
  bindings = [ ${Object.entries(options.bindings)
		.map(([name, text]) => `(name = "${name}", text = ${quoted(text)})`)
		.join(', ')},
    (name = "SHARD", durableObjectNamespace = "Shard"), (name = "RELEASES", kvNamespace = "kv") ],
  durableObjectNamespaces = [ (className = "Shard", uniqueKey = "bench-shard", enableSql = true) ],
  durableObjectStorage = (localDisk = "disk"),
);
const kv :Workerd.Worker = (
  modules = [(name = "kv.js", esModule = ${quoted(KV)}), (name = "model.onnx", data = embed "model.onnx"), (name = "manifest.json", text = embed "manifest.json")],
  compatibilityDate = "2026-10-01",
);`;

/** A region within the domain of any model: a common zone on a common day, each row a bit busier. */
function row(index: number): (number | null)[] {
	const named: Partial<Record<FeatureName, number>> = {
		hour: 18,
		day_of_week: 3,
		usual_15min: 30,
		usual_30min: 60,
		usual_60min: 120,
		recent_bookings: 40 + index / 10,
		recent_usual: 38,
		rolling_avg_7d: 8,
		history_days: 28,
		available_drivers: 20,
		driver_utilization: 0.4,
	};
	return featureNames.map((name) => named[name] ?? 1);
}

/** The sample's champion in the Shard's script under plain workerd: a run of one and of many rows beside `pulse`, its opening, and a cold object. */
export async function bench(): Promise<BenchResult> {
	const champion = sampleChampion();
	if (!champion) throw new Error('Cannot measure forecasts: the sample has no champion, wanted in infra/sample/champion');
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-bench-'));
	mkdirSync(join(directory, 'objects'));
	const wasm = bundleWorker(directory, champion);
	const keys = openKeys(directory);
	const port = await freePort('127.0.0.1');
	const text = config(port, { wasm, bindings: { PARTITIONS: '1', AUTH_AUDIENCE: 'surgecast', SERVICE_JWKS: JSON.stringify(serviceJwks(keys)) } });
	const call = async (path: string, body?: object): Promise<string> => {
		const answer = await fetch(`http://127.0.0.1:${port}/${path}`, body ? { method: 'POST', body: JSON.stringify(body) } : {});
		if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
		return answer.text();
	};
	let running: Workerd | undefined;
	/** One process at a time: the one before is stopped. */
	const start = async (probe: () => Promise<boolean>): Promise<Workerd> => {
		await running?.stop();
		running = await startWorkerd(directory, { name: 'forecast', config: text, probe });
		return running;
	};
	const answers = () => call('').then(() => true);
	const digestOf = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');
	const { name, version } = modelManifest.parse(JSON.parse(champion.manifest));
	const reference = { name, version, digest: digestOf(champion.bytes), manifest: digestOf(champion.manifest) };
	try {
		// Opening: the first brings ONNX Runtime up, a second costs the session alone.
		const opening: { first: number[]; again: number[] } = { first: [], again: [] };
		for (let i = 0; i < COLD_STARTS; i++) {
			await start(answers);
			for (const times of [opening.first, opening.again]) {
				const began = performance.now();
				await call('load', { reference });
				times.push(performance.now() - began);
			}
		}

		// Runs: of the model and of pulse in turns, on the same rows; what a request itself costs is taken off.
		const sizes = [1, ROWS].map((count) => ({ count, rows: Array.from({ length: count }, (_, i) => row(i)), model: [] as number[], pulse: [] as number[] }));
		for (const { rows, model, pulse } of sizes)
			for (const [by, times] of [
				['model', model],
				['pulse', pulse],
			] as const) {
				const request = async (repetitions: number) => {
					const began = performance.now();
					const models = JSON.parse(await call(`run?by=${by}&times=${repetitions}`, { rows })) as string[];
					const took = performance.now() - began;
					const wanted = by === 'model' ? `${name}@${version}` : 'pulse';
					if (repetitions > 0 && models.some((made) => made !== wanted)) throw new Error(`a forecast of the bench is of "${models[0]}", wanted is "${wanted}"`);
					return took;
				};
				let repetitions = 16;
				while ((await request(repetitions)) < ROUND_MS / 4) repetitions *= 2;
				repetitions *= 4;
				for (let round = 0; round < ROUNDS; round++) {
					const empty = Math.min(await request(0), await request(0));
					times.push(((await request(repetitions)) - empty) / repetitions);
				}
			}
		// Cold: a process whose Shard has a release, a region and its features on disk, until that region's forecast is the champion's.
		const document = JSON.stringify(sampleRuleSets[0]);
		const release = {
			release: 1,
			rule_sets: { city: { version: 1, digest: digestOf(document) } },
			models: { champion: reference, canary: null, shadows: [] },
			experiments: [],
			created_at: new Date().toISOString(),
			created_by: 'bench',
		};
		const jws = await signText(keys, { kind: 'control-plane', text: JSON.stringify(release) });
		const ids = Array.from({ length: ROWS }, (_, i) => `bench-${i}`);
		const entry = { name: 'Bench', time_zone: 'Asia/Singapore', rule_set: 'city', location_hint: null, neighbours: [], profile: null, minutes_per_booking: 20 };
		await start(answers);
		await call('seed', {
			pointer: { jws, keys: { version: 1, issuer: 'surgecast-local', audience: 'surgecast', jwks: localJwks(keys) } },
			bodies: { [digestOf(document)]: document },
			entries: ids.map((region_id) => ({ region_id, ...entry, holidays: null, frozen: false, version: 1, holiday_dates: [] })),
			frame: {
				shard: 0,
				epoch: 1,
				seq: 1,
				as_of: Date.now(),
				now: null,
				whole: true,
				regions: ids.map((region_id, i) => ({ region_id, values: row(i), busy_drivers: 13 })),
			},
		});
		const cold: { any: number[]; champion: number[] } = { any: [], champion: [] };
		for (let i = 0; i < COLD_STARTS; i++) {
			for (const [times, wanted] of [
				[cold.any, (model: string) => model !== ''],
				[cold.champion, (model: string) => model === `${name}@${version}`],
			] as const) {
				times.push((await start(async () => wanted(await call('forecast')))).first_answer_ms);
			}
		}

		const [one, many] = sizes.map(({ model, pulse }) => ({ model: median(model) * 1000, pulse: median(pulse) * 1000 })) as [
			{ model: number; pulse: number },
			{ model: number; pulse: number },
		];
		console.log(
			table([
				[`a run of ${name}@${version} (median of ${ROUNDS})`, 'us', 'us a row', 'pulse us', 'ratio'],
				['1 row', one.model, one.model, one.pulse, one.model / one.pulse],
				[`${ROWS} rows`, many.model, many.model / ROWS, many.pulse, many.model / many.pulse],
			]),
		);
		console.log(
			table([
				[`milliseconds (median of ${COLD_STARTS})`, 'ms', 'min', 'max'],
				...(
					[
						['model opened, ONNX Runtime with it', opening.first],
						['model opened again', opening.again],
						['process to a forecast, by pulse', cold.any],
						['process to a forecast by the model', cold.champion],
					] as const
				).map(([what, times]) => [what, median(times), Math.min(...times), Math.max(...times)]),
			]),
		);
		const rounded = (value: number, digits = 1) => Number(value.toFixed(digits));
		return {
			name: 'forecast',
			figures: {
				run_1_us: rounded(one.model),
				[`run_${ROWS}_us`]: rounded(many.model),
				[`row_of_${ROWS}_us`]: rounded(many.model / ROWS, 2),
				pulse_1_us: rounded(one.pulse, 2),
				[`pulse_${ROWS}_us`]: rounded(many.pulse),
				ratio_1: rounded(one.model / one.pulse),
				[`ratio_${ROWS}`]: rounded(many.model / many.pulse, 2),
				open_first_ms: Math.round(median(opening.first)),
				open_again_ms: rounded(median(opening.again)),
				cold_pulse_ms: Math.round(median(cold.any)),
				cold_model_ms: Math.round(median(cold.champion)),
			},
		};
	} finally {
		await running?.stop();
		rmSync(directory, { recursive: true, force: true });
	}
}
