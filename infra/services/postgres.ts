import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import type { Service } from './service.ts';

/** A PostgreSQL server that can be stopped and started again on the same data and port. */
export interface PostgresServer extends Service {
	start(): Promise<void>;
	/** Ends it at once, without a farewell to its clients. */
	kill(): Promise<void>;
}

/** The newest PostgreSQL of this machine: Debian's folders, or whatever the PATH has. */
function binaries(): string {
	const debian = '/usr/lib/postgresql';
	const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
	return versions[0] ? join(debian, versions[0], 'bin') : '';
}

/** Starts PostgreSQL with its data in `directory`; as root it runs as the user postgres. */
export async function startPostgres(directory: string): Promise<PostgresServer> {
	const bin = binaries();
	const asRoot = process.getuid?.() === 0;
	const run = (program: string, args: string[]): string => {
		const command = join(bin, program);
		const [first, ...rest] = asRoot
			? ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', 'env', 'HOME=/tmp', 'LC_ALL=C.UTF-8', command, ...args]
			: [command, ...args];
		const { status, stdout, stderr, error } = spawnSync(first!, rest, {
			encoding: 'utf8',
			stdio: ['ignore', program === 'pg_ctl' ? 'ignore' : 'pipe', 'pipe'],
		});
		if (status !== 0) throw new Error(`${program} ended with ${status}: ${error?.message ?? stderr}`);
		return stdout ?? '';
	};
	mkdirSync(directory, { recursive: true });
	if (asRoot) {
		const ids = spawnSync('sh', ['-c', 'id -u postgres; id -g postgres'], { encoding: 'utf8' }).stdout.trim().split('\n').map(Number);
		chownSync(directory, ids[0]!, ids[1]!);
	}
	const data = join(directory, 'data');
	if (!existsSync(join(data, 'PG_VERSION'))) run('initdb', ['-D', data, '-U', 'postgres', '--auth=trust', '-E', 'UTF8', '--no-sync']);
	const port = await freePort();
	const settings = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off`;
	const start = async () => void run('pg_ctl', ['-D', data, '-w', '-t', '60', '-s', '-l', join(directory, 'server.log'), '-o', settings, 'start']);
	const end = async (mode: 'fast' | 'immediate') => void run('pg_ctl', ['-D', data, '-m', mode, '-w', '-s', 'stop']);
	await start();
	return {
		url: `postgres://postgres@127.0.0.1:${port}/postgres`,
		version: run('postgres', ['--version']).trim(),
		start,
		stop: () => end('fast'),
		kill: () => end('immediate'),
	};
}
