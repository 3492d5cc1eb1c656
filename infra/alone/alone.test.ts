import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseConfiguration } from '#control-plane/configuration.ts';
import { lockDataDirectory } from '../lock.ts';
import { aloneNames } from './alone.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const text = (file: string) => readFileSync(join(ROOT, file), 'utf8');

function start(only: string, env: Record<string, string> = {}) {
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-alone-'));
	const own = { SURGECAST_DATA_DIR: directory, EDGE_PORT: '0', CONTROL_PLANE_PORT: '0', INGEST_PORT: '0', ...env };
	const { status, stderr } = spawnSync(process.execPath, [join(ROOT, 'infra/start.ts'), '--only', only], {
		cwd: ROOT,
		encoding: 'utf8',
		env: { PATH: process.env['PATH'], ...own },
	});
	rmSync(directory, { recursive: true, force: true });
	return { status, stderr };
}

test.each(aloneNames)('the README says how %s is started alone', (name) => {
	expect(text('README.md')).toContain(`\`npm start -- --only ${name}\``);
});

test('a process that is none is refused by the names of those that are', () => {
	expect(start('worker')).toMatchObject({ status: 1, stderr: expect.stringContaining('edge, control-plane, ingestion, feature-worker, sinks') });
});

test.each(['control-plane', 'ingestion', 'feature-worker', 'sinks'])('%s alone refuses the embedded database, which it could share with nobody', (name) => {
	const { status, stderr } = start(name);
	expect([status, stderr]).toEqual([1, expect.stringContaining(`Cannot start ${name} alone: DATABASE_URL is the embedded Postgres`)]);
});

test('edge and ingestion may share a data directory with each other, not with the whole product nor with their like', () => {
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-alone-'));
	const edge = lockDataDirectory(directory, 'edge');
	const ingestion = lockDataDirectory(directory, 'ingest');
	expect(() => lockDataDirectory(directory, 'edge')).toThrow(/process \d+ holds it/);
	expect(() => lockDataDirectory(directory)).toThrow(/edge".*holds it/);
	edge.release();
	ingestion.release();
	const whole = lockDataDirectory(directory);
	expect(() => lockDataDirectory(directory, 'ingest')).toThrow(/holds it/);
	whole.release();
	lockDataDirectory(directory, 'ingest').release();
	rmSync(directory, { recursive: true, force: true });
});

interface Service {
	command?: string[];
	environment?: Record<string, string | number>;
	healthcheck?: unknown;
	depends_on?: Record<string, unknown>;
	volumes?: string[];
}

test('infra/compose.yaml has every process with a configuration that is accepted, and only what it declares', () => {
	const { services, volumes } = parse(text('infra/compose.yaml'), { merge: true }) as { services: Record<string, Service>; volumes: Record<string, null> };
	for (const name of aloneNames) {
		const { command, environment = {}, healthcheck } = services[name]!;
		expect(command).toEqual(['node', 'infra/start.ts', '--only', name]);
		expect(healthcheck, name).toBeDefined();
		const env = Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, String(value)]));
		const known = text('control-plane/configuration.ts');
		for (const key of Object.keys(env)) expect(known, `${key} of ${name}`).toContain(`\t\t${key}: `);
		expect(parseConfiguration(env)).toMatchObject({ edgeUrl: 'http://edge:8787', ingestUrl: 'http://ingestion:8789', keysDir: '/keys' });
	}
	for (const [name, { depends_on = {}, volumes: own = [] }] of Object.entries(services)) {
		for (const other of Object.keys(depends_on)) expect(services, `${name} waits for ${other}`).toHaveProperty(other);
		for (const volume of own) expect(volumes, `${volume} of ${name}`).toHaveProperty(volume.split(':')[0]!);
	}
});
