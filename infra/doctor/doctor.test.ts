import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openKeys } from '#control-plane/keys.ts';
import { openEmbeddedLog } from '#stream/log/embedded-log.ts';
import { freePort } from '../free-port.ts';
import { lockDataDirectory } from '../lock.ts';
import type { Finding } from './finding.ts';
import { installationFindings } from './installation.ts';
import { machineFindings } from './machine.ts';

const ROOT = resolve(import.meta.dirname, '../..');
let directory = '';
let ports: Record<string, string> = {};
beforeEach(async () => {
	directory = mkdtempSync(join(tmpdir(), 'surgecast-doctor-'));
	ports = { EDGE_PORT: String(await freePort()), CONTROL_PLANE_PORT: String(await freePort()), INGEST_PORT: String(await freePort()) };
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function doctor({ args = [], env = {} }: { args?: string[]; env?: Record<string, string> } = {}): { status: number | null; findings: Finding[]; text: string } {
	const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'infra/doctor/main.ts'), '--json', ...args], {
		encoding: 'utf8',
		env: { ...process.env, SURGECAST_DATA_DIR: directory, ...ports, ...env },
	});
	expect(stderr).toBe('');
	return {
		status,
		findings: stdout
			.trim()
			.split('\n')
			.map((line) => JSON.parse(line)),
		text: stdout,
	};
}
const wrongs = (findings: Finding[]) => findings.filter(({ state }) => state === 'wrong').map(({ what }) => what);

/** A data directory as a start leaves it, with one event in its log. */
async function filled(at = Date.now()): Promise<void> {
	openKeys(directory);
	const log = openEmbeddedLog(join(directory, 'log'), { partitions: 8 });
	log.clock.set('wall');
	await log.append([{ topic: 'user-events', partition: 0, key: 'sg-central', timestamp: at, value: Buffer.from('an event') }]);
	await log.close();
}
const edit = (sql: string) => {
	const db = new DatabaseSync(join(directory, 'log/log.sqlite'));
	db.exec(sql);
	db.close();
};

describe('npm run doctor', () => {
	it('finds nothing wrong before the first start, and leaves the data directory empty', () => {
		const { status, findings } = doctor();
		expect([status, wrongs(findings)]).toEqual([0, []]);
		expect(findings.map(({ what }) => what)).toEqual(expect.arrayContaining(['packages', 'edge runtime', 'Node', 'disk', 'edge', 'ingestion']));
	});

	it('asks each server that is configured: those that all hangs on are wrong when they are away, the others doubtful, and no secret is shown', async () => {
		const away = `127.0.0.1:${await freePort()}`;
		const env = {
			LOG_URL: `kafka://me:hush@${away}`,
			DATABASE_URL: `postgres://me:hush@${away}/x`,
			CLICKHOUSE_URL: `http://me:hush@${away}`,
			UPSTASH_REDIS_REST_URL: `http://${away}`,
			UPSTASH_REDIS_REST_TOKEN: 'hush',
		};
		const { status, findings, text } = doctor({ env });
		expect([status, wrongs(findings)]).toEqual([1, ['log', 'database']]);
		expect(findings.filter(({ state }) => state === 'doubtful').map(({ what }) => what)).toEqual(expect.arrayContaining(['history', 'Redis']));
		expect(text).toContain('ECONNREFUSED');
		expect(text).not.toContain('hush');
	});

	it('reads every record with --deep', async () => {
		await filled();
		const { status, findings } = doctor({ args: ['--deep'] });
		expect([status, wrongs(findings)]).toEqual([0, []]);
		expect(findings.find(({ what }) => what === 'log')?.says).toMatch(/^1 records, \d+ MiB, every checksum right$/);
	});

	it('names a record of which a bit was flipped (F18)', async () => {
		await filled();
		edit("UPDATE record SET value = CAST('bn event' AS BLOB)");
		const { status, findings } = doctor({ args: ['--deep'] });
		expect([status, wrongs(findings)]).toEqual([1, ['log']]);
		expect(findings.find(({ what }) => what === 'log')?.says).toContain('user-events/0@0');
	});

	it('says that the log is no log', async () => {
		await filled();
		writeFileSync(join(directory, 'log/log.sqlite'), 'no database, but long enough to be taken for one at first sight');
		expect(wrongs(doctor().findings)).toEqual(['log']);
	});

	it('says that a log was made with other partitions, and a clock set back', async () => {
		await filled(Date.now() + 3_600_000);
		const { status, findings } = doctor({ env: { PARTITIONS: '4' } });
		expect([status, wrongs(findings)]).toEqual([1, ['partitions', 'clock']]);
		expect(findings.find(({ what }) => what === 'partitions')?.advice).toContain('PARTITIONS=8');
	});

	it('says what is wrong with the environment', () => {
		const { status, findings } = doctor({ env: { EDGE_PORT: 'eighty' } });
		expect([status, wrongs(findings)]).toEqual([1, ['configuration']]);
		expect(findings.at(-1)?.says).toContain('EDGE_PORT is "eighty"');
	});

	it('says that keys are not ours, or open to others', async () => {
		await filled();
		chmodSync(join(directory, 'keys.json'), 0o644);
		expect(doctor().findings.find(({ what }) => what === 'keys')?.state).toBe('doubtful');
		writeFileSync(join(directory, 'keys.json'), '{}');
		expect(wrongs(doctor().findings)).toEqual(['keys']);
	});

	it('says that another program has a port', async () => {
		const server = createServer().listen(0, '127.0.0.1');
		await new Promise((done) => server.once('listening', done));
		const port = String((server.address() as AddressInfo).port);
		const { findings } = doctor({ env: { INGEST_PORT: port } });
		server.close();
		expect(wrongs(findings)).toEqual(['ingestion']);
	});

	it('names the pid of a product that runs, and its doors that do not answer', async () => {
		await filled();
		const lock = lockDataDirectory(directory);
		const { findings } = doctor();
		lock.release();
		expect(findings.find(({ what }) => what === 'product')?.says).toBe(`runs as process ${process.pid}`);
		expect(wrongs(findings)).toEqual(['edge', 'control plane', 'ingestion']);
	});
});

describe('installationFindings()', () => {
	it('names packages that are missing or of another version', () => {
		cpSync(join(ROOT, 'package-lock.json'), join(directory, 'package-lock.json'));
		expect(installationFindings(directory)).toMatchObject([{ state: 'wrong', says: expect.stringContaining('missing: ') }]);
		const lock = { packages: { 'node_modules/hono': { version: '1.2.3' } } };
		writeFileSync(join(directory, 'package-lock.json'), JSON.stringify(lock));
		mkdirSync(join(directory, 'node_modules/hono'), { recursive: true });
		writeFileSync(join(directory, 'node_modules/hono/package.json'), '{"version":"1.2.4"}');
		expect(installationFindings(directory)).toMatchObject([{ state: 'wrong', says: expect.stringContaining('hono is 1.2.4, wanted 1.2.3') }]);
	});
});

describe('machineFindings()', () => {
	it('wants Node 24', () => {
		expect(machineFindings(directory, { node: '20.20.0' })[0]?.state).toBe('wrong');
		expect(machineFindings(directory, { node: '26.0.0' })[0]?.state).toBe('ok');
	});
});
