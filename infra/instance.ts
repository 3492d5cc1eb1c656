// The product as a process of its own, for tests and benchmarks from outside.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { mintToken, openKeys } from '#control-plane/keys.ts';
import type { Role } from '#schemas/role.ts';
import { freePort } from './free-port.ts';

const READY_MS = 120_000;
const ROOT = resolve(import.meta.dirname, '..');

/** Waits until `probe` answers something truthy and returns it. The deadline is for a machine that has other work too: it costs time only where something fails. @throws after the deadline, naming what was waited for. */
export async function until<T>(what: string, probe: () => Promise<T | undefined | false | null>, { within = 40_000, every = 20 } = {}): Promise<T> {
	const deadline = performance.now() + within;
	let last: unknown;
	for (;;) {
		const answer = await probe().catch((error) => {
			last = error;
			return undefined;
		});
		if (answer) return answer;
		if (performance.now() > deadline) throw new Error(`Waited ${within} ms in vain: ${what}${last instanceof Error ? ` (${last.message})` : ''}`);
		await new Promise((done) => setTimeout(done, every));
	}
}

export interface Answered {
	status: number;
	// Answers of the product's own doors: the tests that read them say what they expect.
	// biome-ignore lint/suspicious/noExplicitAny: JSON of any door
	json: any;
	text: string;
}

/** The product's doors, as its clients see them. */
export interface Doors {
	urls: { edge: string; control: string; ingest: string };
	token(role: Exclude<Role, 'service'>, subject?: string): Promise<string>;
	/** Sends JSON under a role; reads JSON. */
	call(door: keyof Doors['urls'], method: string, path: string, options?: { role?: Exclude<Role, 'service'>; body?: unknown }): Promise<Answered>;
}

/** A running `npm start`. */
export interface Instance extends Doors {
	child: ChildProcess;
	directory: string;
	output(): string;
	exited: Promise<number | null>;
	/** SIGTERM, and the exit code. */
	stop(): Promise<number | null>;
	/** kill -9. */
	kill(): Promise<void>;
	/** Removes the data directory. */
	tidy(): void;
}

/** The doors at these URLs. @param keysDir the deployment's keys.json. */
export function openDoors(urls: Doors['urls'], keysDir: string): Doors {
	const tokens = new Map<string, string>();
	const doors: Doors = {
		urls,
		async token(role, subject = `test-${role}`) {
			const held = tokens.get(role + subject) ?? (await mintToken(openKeys(keysDir), { role, subject, ttl_seconds: 3600, audience: 'surgecast' }));
			tokens.set(role + subject, held);
			return held;
		},
		async call(door, method, path, { role, body } = {}) {
			const answer = await fetch(urls[door] + path, {
				method,
				headers: {
					...(role ? { authorization: `Bearer ${await doors.token(role)}` } : {}),
					...(body === undefined ? {} : { 'content-type': 'application/json' }),
				},
				...(body === undefined ? {} : { body: JSON.stringify(body) }),
				signal: AbortSignal.timeout(20_000),
			});
			const text = await answer.text();
			let json: unknown;
			try {
				json = JSON.parse(text);
			} catch {
				json = undefined;
			}
			return { status: answer.status, json, text };
		},
	};
	return doors;
}

/** Starts the product as `npm start` does, on free ports, in a data directory of its own or the one given, and waits until its doors are ready. */
export async function startInstance(options: { args?: string[]; directory?: string; env?: Record<string, string>; ready?: boolean } = {}): Promise<Instance> {
	const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'surgecast-'));
	const ports = { edge: await freePort(), control: await freePort(), ingest: await freePort() };
	const child = spawn(process.execPath, [join(ROOT, 'infra/start.ts'), ...(options.args ?? ['--no-simulate'])], {
		cwd: ROOT,
		env: {
			...process.env,
			SURGECAST_DATA_DIR: directory,
			HOST: '127.0.0.1',
			EDGE_PORT: String(ports.edge),
			CONTROL_PLANE_PORT: String(ports.control),
			INGEST_PORT: String(ports.ingest),
			...options.env,
		},
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	let output = '';
	for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output = (output + chunk).slice(-100_000)));
	const exited = new Promise<number | null>((done) => child.once('exit', (code) => done(code)));
	const urls = { edge: `http://127.0.0.1:${ports.edge}`, control: `http://127.0.0.1:${ports.control}`, ingest: `http://127.0.0.1:${ports.ingest}` };
	const instance: Instance = {
		child,
		directory,
		...openDoors(urls, directory),
		output: () => output,
		exited,
		async stop() {
			child.kill('SIGTERM');
			return exited;
		},
		async kill() {
			child.kill('SIGKILL');
			await exited;
		},
		tidy: () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }),
	};
	if (options.ready !== false) {
		const readyOrEnded = async () => (child.exitCode ?? child.signalCode) !== null || output.includes('\nready in ');
		await until(`ready of ${directory}`, readyOrEnded, { within: READY_MS, every: 50 }).catch((error) => {
			child.kill('SIGKILL');
			throw new Error(`${error.message}\n${output}`);
		});
		const ended = child.exitCode ?? child.signalCode;
		if (ended !== null) throw new Error(`The product ended with ${ended} before it was ready\n${output}`);
	}
	return instance;
}
