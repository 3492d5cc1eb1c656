import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { localJwks, mintToken, openKeys, serviceJwks, serviceToken, signText } from '#control-plane/keys.ts';
import { featureNames } from '#schemas/feature.ts';
import { partition } from '#schemas/partition.ts';
import { bundle, folder, scripts, wasmFiles } from '../bundle.ts';
import { freePort } from '../free-port.ts';
import { sampleRuleSets } from '../sample/rule-sets.ts';
import type { BenchResult } from './bench-result.ts';
import { type Load, load } from './load.ts';
import { median, percentile, table } from './table.ts';
import { startWorkerd } from './workerd.ts';

const ROUNDS = 7;
const ROUND_MS = 2000;
const CONNECTIONS = 16;
const PARTITIONS = 8;
const REGIONS = 32;
const COLD_STARTS = 5;

const KV = `
import { DurableObject } from 'cloudflare:workers';
export class Store extends DurableObject {
	constructor(ctx, env) { super(ctx, env); ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS kv (k TEXT PRIMARY KEY, v BLOB) STRICT'); }
	async fetch(request) {
		const key = decodeURIComponent(new URL(request.url).pathname.slice(1));
		if (request.method === 'PUT') { this.ctx.storage.sql.exec('INSERT OR REPLACE INTO kv VALUES (?, ?)', key, await request.arrayBuffer()); return new Response(null); }
		const row = this.ctx.storage.sql.exec('SELECT v FROM kv WHERE k = ?', key).toArray()[0];
		return row ? new Response(row.v) : new Response('Not Found', { status: 404 });
	}
}
export default { fetch: (request, env) => env.STORE.getByName('kv').fetch(request) };
`;

/** Reads the request's JSON and answers as many bytes of JSON as a price has: what any Worker must spend. */
const echo = (answer: object) => `
const answer = ${JSON.stringify(answer)};
export default { async fetch(request) { const { region_id } = await request.json(); return new Response(JSON.stringify({ ...answer, region_id }), { headers: { 'content-type': 'application/json' } }); } };
`;
const HELLO = "export default { fetch: () => new Response('hello') };";

const quoted = (text: string) => JSON.stringify(text);
const echoConfig = (port: number, code: string) => `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (modules = [(name = "worker.js", esModule = ${quoted(code)})], compatibilityDate = "2026-10-01"))],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);`;

/** Both scripts of the edge as plain workerd serves them: the same bundles, bindings by hand. */
function edgeConfig(directory: string, options: { port: number; bindings: Record<string, string> }): string {
	const texts = (names: string[]) => names.map((name) => `(name = "${name}", text = ${quoted(options.bindings[name] ?? '')})`).join(', ');
	const embed = (path: string) => relative(directory, path);
	const wasm = wasmFiles('shard')
		.map((file) => `, (name = ${quoted(file)}, wasm = embed ${quoted(embed(join(folder('shard'), file)))})`)
		.join('');
	return `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "price", worker = .price), (name = "shard", worker = .shard), (name = "kv", worker = .kv),
    (name = "disk", disk = (path = "objects", writable = true)),
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${options.port}", http = (), service = "price")]
);
const price :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed ${quoted(embed(join(folder('price'), 'worker.js')))})], compatibilityDate = "2026-10-01",
  bindings = [ ${texts(['PARTITIONS', 'AUTH_ISSUER', 'AUTH_AUDIENCE', 'SERVICE_JWKS', 'USER_PEPPER'])},
    (name = "SHARD", durableObjectNamespace = (className = "Shard", serviceName = "shard")), (name = "OUTBOX", durableObjectNamespace = (className = "Outbox", serviceName = "shard")),
    (name = "INTERNAL", service = "shard"), (name = "RELEASES", kvNamespace = "kv") ],
);
const shard :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed ${quoted(embed(join(folder('shard'), 'worker.js')))})${wasm}], compatibilityDate = "2026-10-01",
  bindings = [ ${texts(['PARTITIONS', 'AUTH_AUDIENCE', 'INGEST_URL', 'SERVICE_JWKS', 'EDGE_SERVICE_KEY'])},
    (name = "SHARD", durableObjectNamespace = "Shard"), (name = "OUTBOX", durableObjectNamespace = "Outbox"), (name = "RELEASES", kvNamespace = "kv") ],
  durableObjectNamespaces = [ (className = "Shard", uniqueKey = "surgecast-shard", enableSql = true), (className = "Outbox", uniqueKey = "surgecast-outbox", enableSql = true) ],
  durableObjectStorage = (localDisk = "disk"),
);
const kv :Workerd.Worker = (
  modules = [(name = "kv.js", esModule = ${quoted(KV)})], compatibilityDate = "2026-10-01",
  bindings = [(name = "STORE", durableObjectNamespace = "Store")], durableObjectNamespaces = [(className = "Store", uniqueKey = "kv", enableSql = true)],
  durableObjectStorage = (localDisk = "disk"),
);`;
}

/** The two Workers under load beside an echo of the same bytes, in rounds that take turns; one thread each, one client. */
export async function bench(): Promise<BenchResult> {
	for (const line of await Promise.all(scripts.map(bundle))) console.log(line);
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-bench-'));
	mkdirSync(join(directory, 'objects'));
	const keys = openKeys(directory);
	let decisions = 0;
	const ingest = createServer((request, response) => {
		request.setEncoding('utf8');
		request.on('data', (chunk: string) => (decisions += chunk.split('"decision_id"').length - 1));
		request.on('end', () => response.writeHead(202).end('{}'));
	}).listen(0, '127.0.0.1');
	await new Promise((resolve) => ingest.once('listening', resolve));
	const [port, echoPort] = [await freePort(), await freePort()];
	const bindings = {
		PARTITIONS: String(PARTITIONS),
		AUTH_ISSUER: 'surgecast-local',
		AUTH_AUDIENCE: 'surgecast',
		USER_PEPPER: keys.pepper.value,
		SERVICE_JWKS: JSON.stringify(serviceJwks(keys)),
		EDGE_SERVICE_KEY: JSON.stringify(keys.services.edge),
		INGEST_URL: `http://127.0.0.1:${(ingest.address() as AddressInfo).port}`,
	};
	const config = edgeConfig(directory, { port, bindings });
	const alive = (to: number) => async () => (await fetch(`http://127.0.0.1:${to}/healthz`, { method: 'POST', body: '{}' })).status < 500;
	const edge = await startWorkerd(directory, { name: 'edge', config, probe: alive(port) });
	const service = await serviceToken(keys, { kind: 'control-plane', audience: 'surgecast' });
	const internal = async (path: string, body: object) => {
		const answer = await fetch(`http://127.0.0.1:${port}/internal/${path}`, {
			method: 'POST',
			headers: { authorization: `Bearer ${service}`, 'content-type': 'application/json' },
			body: JSON.stringify(body),
		});
		if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
	};

	// A release, regions with live features, and a token: as the control plane and the feature worker would bring them.
	const document = JSON.stringify(sampleRuleSets[0]);
	const digest = createHash('sha256').update(document).digest('hex');
	const release = {
		release: 1,
		rule_sets: { city: { version: 1, digest } },
		models: { champion: null, canary: null, shadows: [] },
		experiments: [],
		created_at: new Date().toISOString(),
		created_by: 'bench',
	};
	const clientKeys = { version: 1, issuer: 'surgecast-local', audience: 'surgecast', jwks: localJwks(keys) };
	await internal('releases', {
		pointer: { jws: await signText(keys, { kind: 'control-plane', text: JSON.stringify(release) }), keys: clientKeys },
		bodies: { [digest]: document },
	});
	const ids = Array.from({ length: REGIONS }, (_, i) => `bench-${i}`);
	const values = featureNames.map(
		(name) =>
			({
				usual_15min: 30,
				usual_30min: 60,
				usual_60min: 120,
				recent_bookings: 55,
				recent_usual: 38,
				available_drivers: 20,
				driver_utilization: 0.4,
				booking_count_5min: 12,
			})[name as string] ?? 1,
	);
	for (let shard = 0; shard < PARTITIONS; shard++) {
		const own = ids.filter((id) => partition(id, PARTITIONS) === shard);
		const entry = {
			name: 'Bench',
			time_zone: 'Asia/Singapore',
			rule_set: 'city',
			location_hint: null,
			neighbours: [],
			profile: null,
			minutes_per_booking: 20,
			holidays: null,
			frozen: false,
			version: 1,
			holiday_dates: [],
		};
		await internal('entries', { shard, entries: own.map((region_id) => ({ region_id, ...entry })) });
	}
	let seq = 0;
	const push = () =>
		internal('frames', {
			frames: Array.from({ length: PARTITIONS }, (_, shard) => ({
				shard,
				epoch: 1,
				seq: ++seq,
				as_of: Date.now(),
				now: null,
				whole: true,
				regions: ids.filter((id) => partition(id, PARTITIONS) === shard).map((region_id) => ({ region_id, values, busy_drivers: 13 })),
			})),
		});
	await push();
	const pushing = setInterval(() => void push(), 1000); // as live: a frame a second
	const client = await mintToken(keys, { role: 'client', subject: 'bench', ttl_seconds: 3600, audience: 'surgecast' });
	const body = JSON.stringify({ region_id: 'bench-7', product_type: 'standard_ride', user_id: 'u-77', attributes: { distance_km: 4.2 } });
	const headers = `authorization: Bearer ${client}\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
	const request = Buffer.from(`POST /api/v1/price HTTP/1.1\r\nhost: 127.0.0.1\r\n${headers}\r\n\r\n${body}`);
	const sample = await fetch(`http://127.0.0.1:${port}/api/v1/price`, {
		method: 'POST',
		headers: { authorization: `Bearer ${client}`, 'content-type': 'application/json' },
		body,
	});
	const answer = (await sample.json()) as { status: string };
	if (answer.status !== 'priced') throw new Error(`a price in the benchmark is ${answer.status}: ${JSON.stringify(answer)}`);
	const echoed = await startWorkerd(directory, { name: 'echo', config: echoConfig(echoPort, echo(answer)), probe: alive(echoPort) });

	const rounds: { price: Load & { cpu: number }; echo: Load & { cpu: number } }[] = [];
	const measured = async (to: number, process: { cpuSeconds(): number }) => {
		const before = process.cpuSeconds();
		const run = await load(to, { request, connections: CONNECTIONS, ms: ROUND_MS });
		// What the load left behind (batches, alarms) belongs to it.
		await new Promise((resolve) => setTimeout(resolve, 200));
		return { ...run, cpu: ((process.cpuSeconds() - before) / run.requests) * 1e6 };
	};
	for (let round = -1; round < ROUNDS; round++) {
		const one = { price: await measured(port, edge), echo: await measured(echoPort, echoed) };
		if (round >= 0) rounds.push(one);
	}
	clearInterval(pushing);
	const side = (name: 'price' | 'echo') => {
		const all = rounds.flatMap((round) => round[name].latencies);
		return {
			rps: median(rounds.map((round) => round[name].requests / round[name].seconds)),
			cpu: median(rounds.map((round) => round[name].cpu)),
			p50: percentile(all, 0.5),
			p99: percentile(all, 0.99),
		};
	};
	const [price, plain] = [side('price'), side('echo')];
	const ratio = median(rounds.map((round) => round.price.cpu / round.echo.cpu));
	await Promise.all([edge.stop(), echoed.stop()]);

	// Cold: a process with state on disk to its first price, beside a hello.
	const cold: { price: number[]; hello: number[] } = { price: [], hello: [] };
	const firstPrice = async () =>
		(
			await fetch(`http://127.0.0.1:${port}/api/v1/price`, {
				method: 'POST',
				headers: { authorization: `Bearer ${client}`, 'content-type': 'application/json' },
				body,
			})
		).status === 200;
	const firstHello = async () => (await fetch(`http://127.0.0.1:${echoPort}/`)).status === 200;
	for (let i = 0; i < COLD_STARTS; i++) {
		const warm = await startWorkerd(directory, { name: 'edge', config, probe: firstPrice });
		cold.price.push(warm.first_answer_ms);
		await warm.stop();
		const hello = await startWorkerd(directory, { name: 'hello', config: echoConfig(echoPort, HELLO), probe: firstHello });
		cold.hello.push(hello.first_answer_ms);
		await hello.stop();
	}
	ingest.close();
	ingest.closeAllConnections();
	rmSync(directory, { recursive: true, force: true });
	console.log(
		table([
			['', 'requests/s', 'CPU us/request', 'p50 ms', 'p99 ms', 'cold start ms'],
			['price (authenticated, audited, traced)', price.rps, price.cpu, price.p50, price.p99, median(cold.price)],
			['JSON echo of the same bytes', plain.rps, plain.cpu, plain.p50, plain.p99, median(cold.hello)],
		]),
	);
	console.log(
		`CPU ratio ${ratio.toFixed(2)} (median of ${ROUNDS} rounds: ${rounds.map((round) => (round.price.cpu / round.echo.cpu).toFixed(2)).join(' ')}); ${decisions} decisions audited`,
	);
	return {
		name: 'edge',
		figures: {
			cpu_ratio: Number(ratio.toFixed(3)),
			price_rps: Math.round(price.rps),
			echo_rps: Math.round(plain.rps),
			price_cpu_us: Number(price.cpu.toFixed(1)),
			echo_cpu_us: Number(plain.cpu.toFixed(1)),
			price_p50_ms: Number(price.p50.toFixed(2)),
			price_p99_ms: Number(price.p99.toFixed(2)),
			cold_price_ms: Math.round(median(cold.price)),
			cold_hello_ms: Math.round(median(cold.hello)),
		},
	};
}
