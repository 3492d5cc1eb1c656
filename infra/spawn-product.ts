import { type ChildProcess, spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { until } from './until.ts';

const READY_MS = 120_000;
const ROOT = resolve(import.meta.dirname, '..');

/** `npm start`, or one process of it, as a child of this one. */
export interface Spawned {
	child: ChildProcess;
	/** What it wrote, the last of it. */
	output(): string;
	exited: Promise<number | null>;
	/** Resolves when its doors answer. @throws with what it wrote when it ended before; then, and after the deadline, it is dead. */
	ready(): Promise<void>;
	/** SIGTERM, and the exit code. */
	stop(): Promise<number | null>;
	/** kill -9. */
	kill(): Promise<void>;
}

/** Starts the product with these arguments, and these variables beside the environment's. */
export function spawnProduct(args: readonly string[], env: Record<string, string>): Spawned {
	const child = spawn(process.execPath, [join(ROOT, 'infra/start.ts'), ...args], {
		cwd: ROOT,
		env: { ...process.env, HOST: '127.0.0.1', ...env },
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	let output = '';
	for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output = (output + chunk).slice(-100_000)));
	const exited = new Promise<number | null>((done) => child.once('exit', (code) => done(code)));
	const ended = () => child.exitCode ?? child.signalCode;
	const what = ['npm start --', ...args].join(' ');
	return {
		child,
		output: () => output,
		exited,
		async ready() {
			await until(`ready of ${what}`, async () => ended() !== null || output.includes('\nready in '), { within: READY_MS, every: 50 }).catch((error) => {
				child.kill('SIGKILL');
				throw new Error(`${error.message}\n${output}`);
			});
			if (ended() !== null) throw new Error(`${what} ended with ${ended()} before it was ready\n${output}`);
		},
		async stop() {
			child.kill('SIGTERM');
			return exited;
		},
		async kill() {
			child.kill('SIGKILL');
			await exited;
		},
	};
}
