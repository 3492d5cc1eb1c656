import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from 'redis';
import { freePort } from '../free-port.ts';
import { until } from '../until.ts';
import type { Service } from './service.ts';

/** A Redis that keeps nothing on disk, and can be started again on the same port. */
export interface RedisServer extends Service {
	/** Starts it again after stop() or kill(): empty. */
	start(): Promise<void>;
	/** kill -9. */
	kill(): Promise<void>;
	/** Stops its process in its tracks (SIGSTOP), and lets it go on. */
	freeze(): void;
	thaw(): void;
}

/** Starts the redis-server of this machine with its log in `directory`. @throws where there is none, or when it does not answer. */
export async function startRedis(directory: string): Promise<RedisServer> {
	mkdirSync(directory, { recursive: true });
	const log = join(directory, 'redis.log');
	const { stdout, error } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' });
	if (error) throw new Error(`Cannot start Redis: redis-server is wanted on the PATH (${error.message})`);
	const port = await freePort();
	const url = `redis://127.0.0.1:${port}`;
	let child: ChildProcess;
	let exited: Promise<unknown>;
	const start = async (): Promise<void> => {
		const out = openSync(log, 'a');
		const own = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no'];
		child = spawn('redis-server', own, { stdio: ['ignore', out, out] });
		exited = new Promise((done) => child.once('exit', done));
		await until('the start of Redis', async () => {
			if (child.exitCode !== null) throw new Error(readFileSync(log, 'utf8').slice(-2000));
			const client = createClient({ url, socket: { reconnectStrategy: false } }).on('error', () => undefined);
			await client.connect();
			return client.ping().finally(() => client.destroy());
		});
	};
	const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
		child.kill('SIGCONT');
		child.kill(signal);
		await exited;
	};
	await start();
	return {
		url,
		version: `Redis ${/v=(\S+)/.exec(stdout)?.[1] ?? '?'}`,
		start,
		stop: () => end('SIGTERM'),
		kill: () => end('SIGKILL'),
		freeze: () => void child.kill('SIGSTOP'),
		thaw: () => void child.kill('SIGCONT'),
	};
}
