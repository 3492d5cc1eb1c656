import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { until } from '../until.ts';
import type { Service } from './service.ts';

const VERSION = 'v1.8.0';
const START_MS = 30_000;
/** The bucket that there is. */
const BUCKET = 'surgecast';
/** For the variables of the environment beside the URL; of this machine's test server only. */
export const S3_KEYS = { accessKeyId: 'surgecast-test', secretAccessKey: 'surgecast-test-secret' };

/** An S3-compatible server that can be killed and started again on the same data and port. */
export interface S3Server extends Service {
	start(): Promise<void>;
	/** kill -9. */
	kill(): Promise<void>;
}

/** The server's binary, built once by Go (3 minutes) into the user's cache. @throws without Go. */
async function binary(log: string): Promise<string> {
	const path = join(homedir(), '.cache/surgecast', `versitygw-${VERSION}`);
	if (existsSync(path)) return path;
	const fresh = `${path}.${process.pid}`;
	mkdirSync(fresh, { recursive: true });
	const out = openSync(log, 'a');
	const child = spawn('go', ['install', `github.com/versity/versitygw/cmd/versitygw@${VERSION}`], {
		env: { ...process.env, GOBIN: fresh },
		stdio: ['ignore', out, out],
	});
	closeSync(out);
	const code = await new Promise<number | null>((done, fail) => child.once('exit', done).once('error', fail));
	if (code !== 0) throw new Error(`go install of versitygw ended with ${code}:\n${readFileSync(log, 'utf8').slice(-2000)}`);
	if (!existsSync(path)) renameSync(join(fresh, 'versitygw'), path);
	rmSync(fresh, { recursive: true, force: true });
	return path;
}

/** Starts versitygw over `directory`, with one bucket. */
export async function startS3(directory: string): Promise<S3Server> {
	const [data, side] = [join(directory, 'data'), join(directory, 'side')];
	mkdirSync(join(data, BUCKET), { recursive: true }); // over a file system a bucket is a folder
	mkdirSync(side, { recursive: true });
	const log = join(directory, 'server.log');
	const program = await binary(log);
	const port = await freePort();
	const endpoint = `http://127.0.0.1:${port}`;
	let child: ChildProcess;
	let exited: Promise<unknown>;
	const start = async (): Promise<void> => {
		const out = openSync(log, 'a');
		child = spawn(program, ['--port', `127.0.0.1:${port}`, '--quiet', 'posix', '--sidecar', side, data], {
			env: { ...process.env, ROOT_ACCESS_KEY: S3_KEYS.accessKeyId, ROOT_SECRET_KEY: S3_KEYS.secretAccessKey },
			stdio: ['ignore', out, out],
		});
		closeSync(out);
		exited = new Promise((done) => child.once('exit', done));
		await until(
			'the start of versitygw',
			async () => {
				if (child.exitCode !== null) throw new Error(readFileSync(log, 'utf8').slice(-2000));
				return fetch(endpoint).then(
					() => true,
					() => false,
				);
			},
			{ within: START_MS, every: 50 },
		);
	};
	const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
		child.kill(signal);
		await exited;
	};
	await start();
	return {
		url: `s3://${BUCKET}?endpoint=${endpoint}`,
		version: `versitygw ${VERSION}`,
		start,
		stop: () => end('SIGTERM'),
		kill: () => end('SIGKILL'),
	};
}
