import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { until } from '../until.ts';
import type { Service } from './service.ts';

const VERSION = '26.7.3';
const PACKAGES = [`@chdb/lib-linux-x64-gnu@${VERSION}-stable.1`, 'ffi-rs@1.3.7'];
const START_MS = 60_000;
const SERVER_BYTES_MAX = 1_500_000_000;

/** A ClickHouse server that can be stopped, killed and started again on the same data and port. */
export interface ClickHouseServer extends Service {
	start(): Promise<void>;
	/** kill -9. */
	kill(): Promise<void>;
	/** Stops its process in its tracks (SIGSTOP), and lets it go on. */
	freeze(): void;
	thaw(): void;
}

/** The server as a library, fetched once from npm (546 MB unpacked) into the user's cache; never a dependency of the project. Linux on x64 only. */
async function library(): Promise<string> {
	const root = join(homedir(), '.cache/surgecast', `clickhouse-${VERSION}`);
	if (existsSync(root)) return root;
	const fresh = `${root}.${process.pid}`;
	mkdirSync(fresh, { recursive: true });
	writeFileSync(join(fresh, 'package.json'), '{"private": true}\n');
	const log = join(fresh, 'install.log');
	const out = openSync(log, 'w');
	const child = spawn('npm', ['install', '--prefix', fresh, '--no-audit', '--no-fund', '--ignore-scripts', ...PACKAGES], { stdio: ['ignore', out, out] });
	closeSync(out);
	const code = await new Promise<number | null>((done, fail) => child.once('exit', done).once('error', fail));
	if (code !== 0) throw new Error(`npm install of ${PACKAGES.join(' ')} ended with ${code}:\n${readFileSync(log, 'utf8').slice(-2000)}`);
	if (existsSync(root)) rmSync(fresh, { recursive: true, force: true });
	else renameSync(fresh, root);
	return root;
}

/** Starts ClickHouse's HTTP door with its data in `directory`. The user `default` has no password: the query that holds the server runs as it. */
export async function startClickHouse(directory: string): Promise<ClickHouseServer> {
	mkdirSync(directory, { recursive: true });
	const root = await library();
	const port = await freePort();
	const url = `http://127.0.0.1:${port}`;
	const log = join(directory, 'server.log');
	const users = join(directory, 'users.xml');
	writeFileSync(
		users,
		`<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password></password><profile>default</profile>
<quota>default</quota><networks><ip>127.0.0.1</ip></networks></default></users></clickhouse>\n`,
	);
	const config = join(directory, 'config.xml');
	writeFileSync(
		config,
		`<clickhouse><users_config>${users}</users_config><max_server_memory_usage>${SERVER_BYTES_MAX}</max_server_memory_usage></clickhouse>\n`,
	);
	// The last statement reads a stdin that never comes: as long as it waits, the server serves.
	const holding = "SYSTEM START LISTEN HTTP; SELECT count() FROM file('stdin', 'LineAsString', 'line String') FORMAT Null";
	const args = [`--path=${join(directory, 'data')}`, '--listen_host=127.0.0.1', `--http_port=${port}`, `--config-file=${config}`, '--query', holding];
	let child: ChildProcess;
	let exited: Promise<unknown>;
	const start = async (): Promise<void> => {
		const out = openSync(log, 'a');
		child = spawn(process.execPath, [join(import.meta.dirname, 'clickhouse/serve.mjs'), root, ...args], { stdio: ['pipe', out, out] });
		closeSync(out);
		exited = new Promise((done) => child.once('exit', done));
		await until(
			'the start of ClickHouse',
			async () => {
				if (child.exitCode !== null || child.signalCode !== null) throw new Error(readFileSync(log, 'utf8').slice(-2000));
				return (await (await fetch(`${url}/ping`)).text()) === 'Ok.\n';
			},
			{ within: START_MS, every: 25 },
		);
	};
	const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
		child.kill('SIGCONT');
		child.kill(signal);
		await exited;
	};
	await start();
	return {
		url,
		version: `ClickHouse ${(await (await fetch(`${url}/?query=SELECT%20version()`)).text()).trim()}`,
		start,
		stop: () => end('SIGTERM'),
		kill: () => end('SIGKILL'),
		freeze: () => void child.kill('SIGSTOP'),
		thaw: () => void child.kill('SIGCONT'),
	};
}
