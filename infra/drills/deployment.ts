import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { AloneName } from '../alone/alone.ts';
import { freePort } from '../free-port.ts';
import { type Doors, openDoors, until } from '../instance.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const READY_MS = 120_000;

/** A process of the product that was started alone. */
export interface Part {
	name: AloneName;
	child: ChildProcess;
	output(): string;
	exited: Promise<number | null>;
}

/** The product as processes of their own, on the servers that `env` names. */
export interface Deployment extends Doors {
	/** Directory of the deployment's keys.json. */
	keysDir: string;
	/** Starts one more process and waits until it is ready. */
	start(name: AloneName): Promise<Part>;
	/** SIGTERM, and the exit code. */
	stop(part: Part): Promise<number | null>;
	/** kill -9. */
	kill(part: Part): Promise<void>;
	/** Kills what still runs and removes what is on the disk. */
	tidy(): Promise<void>;
}

/** @param env LOG_URL, DATABASE_URL and whatever else differs from the defaults. */
export async function openDeployment(env: Record<string, string>): Promise<Deployment> {
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-deployment-'));
	const ports = { edge: await freePort(), control: await freePort(), ingest: await freePort() };
	const url = (port: number) => `http://127.0.0.1:${port}`;
	const running = new Set<Part>();
	return {
		...openDoors({ edge: url(ports.edge), control: url(ports.control), ingest: url(ports.ingest) }, directory),
		keysDir: directory,
		async start(name) {
			const child = spawn(process.execPath, [join(ROOT, 'infra/start.ts'), '--only', name], {
				cwd: ROOT,
				env: {
					...process.env,
					SURGECAST_DATA_DIR: directory,
					HOST: '127.0.0.1',
					EDGE_PORT: String(ports.edge),
					CONTROL_PLANE_PORT: String(ports.control),
					INGEST_PORT: String(ports.ingest),
					...env,
				},
				stdio: ['ignore', 'pipe', 'pipe'],
			});
			let output = '';
			for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output = (output + chunk).slice(-100_000)));
			const exited = new Promise<number | null>((done) => child.once('exit', (code) => done(code)));
			const part: Part = { name, child, output: () => output, exited };
			running.add(part);
			const readyOrEnded = async () => (child.exitCode ?? child.signalCode) !== null || output.includes('\nready in ');
			await until(`ready of ${name}`, readyOrEnded, { within: READY_MS, every: 50 });
			const ended = child.exitCode ?? child.signalCode;
			if (ended !== null) throw new Error(`${name} ended with ${ended} before it was ready\n${output}`);
			return part;
		},
		async stop(part) {
			part.child.kill('SIGTERM');
			const code = await part.exited;
			running.delete(part);
			return code;
		},
		async kill(part) {
			part.child.kill('SIGKILL');
			await part.exited;
			running.delete(part);
		},
		async tidy() {
			for (const { child, exited } of running) {
				child.kill('SIGKILL');
				await exited;
			}
			rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
		},
	};
}
