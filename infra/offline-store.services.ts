// The offline store on a real S3 server, of the test's own: the sink's process and the server are killed in the middle, and the files are those of a calm run.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type S3Place, s3Place } from '#control-plane/s3-place.ts';
import { openEmbeddedLog } from '#stream/log/embedded-log.ts';
import { directoryStore } from '#stream/offline/directory-store.ts';
import { filesOf, final, record } from '#stream/offline/finals.test-support.ts';
import { s3Store } from '#stream/offline/s3-store.ts';
import { S3_KEYS, type S3Server, startS3 } from './services/s3.ts';
import { makeTrainingSet } from './training-set/training-set.ts';
import { until } from './until.ts';

const MINUTE = 60_000;
const START = Date.UTC(2026, 0, 11, 22);
const HOURS = 6;
const PARTITIONS = 2;
const regions = Array.from({ length: 20 }, (_, n) => `r-${n}`);
const directory = mkdtempSync(join(tmpdir(), 'surgecast-offline-services-'));
let server: S3Server;
let place: S3Place;
beforeAll(async () => {
	server = await startS3(join(directory, 's3'));
	place = s3Place(server.url.replace('?', '/training?'), S3_KEYS);
});
afterAll(async () => {
	await server?.stop();
	rmSync(directory, { recursive: true, force: true });
});

/** A log of some hours of finals, always the same. */
async function logOf(path: string): Promise<void> {
	const log = openEmbeddedLog(path, { partitions: PARTITIONS });
	for (let partition = 0; partition < PARTITIONS; partition++)
		await log.append(
			Array.from({ length: HOURS * 60 }, (_, minute) =>
				regions.map((region) => record(final(`${region}-${partition}`, START + minute * MINUTE), partition)),
			).flat(),
		);
	await log.close();
}

/** The process that moves a log's finals; `open` resolves when it begins. */
function mover(
	path: string,
	to: string | S3Place,
): { child: ChildProcess; open: Promise<void>; told: () => string; ended: Promise<{ code: number | null; told: string }> } {
	const child = spawn(
		process.execPath,
		[join(import.meta.dirname, '../stream/offline/offline-sink.test-process.ts'), path, String(PARTITIONS), JSON.stringify(to)],
		{
			stdio: ['ignore', 'pipe', 'pipe'],
		},
	);
	let told = '';
	child.stderr.on('data', (chunk: Buffer) => {
		told += chunk;
	});
	return {
		child,
		told: () => told,
		open: new Promise((done) => child.stdout.once('data', () => done())),
		ended: new Promise((done) => child.once('close', (code) => done({ code, told }))),
	};
}

/** The files of a run that nothing disturbs, in a directory. */
const calm = join(directory, 'calm');
beforeAll(async () => {
	await logOf(join(directory, 'log-calm'));
	expect(await mover(join(directory, 'log-calm'), calm).ended).toEqual({ code: 0, told: '' });
});

async function expectFilesOfTheCalmRun(bucket: S3Place): Promise<void> {
	const [expected, found] = [await filesOf(directoryStore(calm)), await filesOf(s3Store(bucket))];
	expect(expected.size).toBeGreaterThanOrEqual(HOURS * PARTITIONS);
	expect([...found.keys()]).toEqual([...expected.keys()]);
	for (const [key, bytes] of expected) expect(Buffer.compare(found.get(key)!, bytes), key).toBe(0);
}

test('the files of a bucket are those of a calm run, through kill -9 of the process at any point', async () => {
	const log = join(directory, 'log-process');
	await logOf(log);
	let kills = 0;
	for (const ms of [0, 20, 40, 60, 90]) {
		const { child, open, ended } = mover(log, place);
		await open;
		setTimeout(() => child.kill('SIGKILL'), ms);
		if ((await ended).code === null) kills += 1;
	}
	expect(kills).toBeGreaterThan(2);
	expect(await mover(log, place).ended).toEqual({ code: 0, told: '' });
	await expectFilesOfTheCalmRun(place);
});

test('the files of a bucket are those of a calm run, though its server is killed in the middle; the process waits and says so', async () => {
	const bucket = { ...place, prefix: 'killed/' };
	const log = join(directory, 'log-server');
	await logOf(log);
	const run = mover(log, bucket);
	await until('the first file', async () => (await s3Store(bucket).list('')).length > 0, { every: 1 });
	await server.kill();
	await until('the process says so', async () => run.told().includes('takes nothing'));
	await server.start();
	expect(await run.ended).toEqual({ code: 0, told: expect.stringMatching(/^(The offline store takes nothing; all waits in the log: .+\n)+$/) });
	await expectFilesOfTheCalmRun(bucket);
});

test('a training set is the same out of a bucket and out of a directory', async () => {
	const bucket = { ...place, prefix: 'copied/' };
	for (const [key, bytes] of await filesOf(directoryStore(calm))) await s3Store(bucket).write(key, bytes);
	const labels = join(directory, 'labels.csv');
	const times = Array.from({ length: 50 }, (_, n) => START + n * 7.3 * MINUTE);
	writeFileSync(labels, `region_id,at,label\n${times.map((at, n) => `r-${n % 20}-${n % 2},${new Date(at).toISOString()},${n}`).join('\n')}\n`);
	const options = { labels, asOf: 'at', maxAgeMinutes: null };
	const [ofBucket, ofDirectory] = [join(directory, 'bucket.csv'), join(directory, 'directory.csv')];
	const made = await makeTrainingSet({ ...options, out: ofBucket, store: bucket });
	expect(made).toEqual(await makeTrainingSet({ ...options, out: ofDirectory, store: calm }));
	expect(made).toMatchObject({ rows: 50, matched: 50, finals: HOURS * 60 * PARTITIONS * regions.length });
	expect(readFileSync(ofBucket, 'utf8')).toBe(readFileSync(ofDirectory, 'utf8'));
});
