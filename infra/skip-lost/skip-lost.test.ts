import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { retentionMs } from '#schemas/topic.ts';
import { until } from '#stream/features/river.test-support.ts';
import { type EmbeddedLog, openEmbeddedLog } from '#stream/log/embedded-log.ts';
import { openMover } from '#stream/sinks/mover.ts';
import { lockDataDirectory } from '../lock.ts';
import { skipLost } from './skip-lost.ts';

const GROUP = 'decisions-to-postgres';
const TOPIC = 'pricing-decisions';
let directory: string;
let log: EmbeddedLog;
const open = () => openEmbeddedLog(join(directory, 'log'), { partitions: 2 });
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), 'surgecast-skip-lost-'));
	log = open();
});
afterEach(async () => {
	await log.close();
	rmSync(directory, { recursive: true, force: true });
});
const append = (text: string, partition: number, timestamp: number) => log.append([{ topic: TOPIC, partition, key: 'r', value: Buffer.from(text), timestamp }]);

/** A sink, and what came into its store. */
async function openSinkOf(stored: string[]) {
	const sink = await openMover<string>({
		...{ log, group: GROUP, topics: [TOPIC], what: 'the store', retry_ms: 10 },
		decode: ({ value }) => Buffer.from(value).toString(),
		write: async (batches) => void stored.push(...batches.flatMap(({ records }) => records.map(({ decoded }) => decoded))),
	});
	sink.start();
	return sink;
}

/** Partition 0: one record was stored, two were forgotten, one is kept. Partition 1 is well. */
async function loseSome(): Promise<void> {
	await append('stored', 0, 0);
	await append('fine', 1, retentionMs[TOPIC]);
	const stored: string[] = [];
	const sink = await openSinkOf(stored);
	await sink.drain(5000);
	await sink.stop();
	for (const text of ['gone', 'gone too']) await append(text, 0, 0);
	await append('kept', 0, retentionMs[TOPIC]);
	await log.expire(retentionMs[TOPIC] + 1);
}

test('a sink that lost its position stops by name, and goes on from the oldest record that is kept once a human has said so', async () => {
	await loseSome();
	const stored: string[] = [];
	const stuck = await openSinkOf(stored);
	await until('the trouble', () => stuck.trouble() !== null);
	expect(stuck.trouble()).toBe(
		`Cannot read ${TOPIC}/0 from 1: the log has 3 to 4: npm run skip-lost -- ${GROUP} says what the store has lost, and goes on without it`,
	);
	await stuck.stop();
	const lost = [{ topic: TOPIC, partition: 0, position: 1, start: 3, end: 4 }];
	expect(await skipLost(log, GROUP, { move: false })).toEqual(lost);
	expect(await skipLost(log, GROUP, { move: true })).toEqual(lost);
	expect(await skipLost(log, GROUP, { move: true })).toEqual([]);
	const sink = await openSinkOf(stored);
	await sink.drain(5000);
	expect([stored, sink.trouble()]).toEqual([['kept'], null]);
	await sink.stop();
});

test('a position behind the end of a younger log goes back to its start', async () => {
	await append('a', 0, 0);
	const member = await log.join(GROUP, [TOPIC]);
	await member.commit(TOPIC, 0, 99);
	expect(await skipLost(log, GROUP, { move: true })).toEqual([{ topic: TOPIC, partition: 0, position: 99, start: 0, end: 1 }]);
	expect(await member.position(TOPIC, 0)).toBe(0);
});

test('npm run skip-lost says what is gone, changes it with --yes alone, and not beside the product', async () => {
	await loseSome();
	await log.close();
	const run = (args: string[], env: Record<string, string> = {}) => {
		const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
			env: { ...process.env, SURGECAST_DATA_DIR: directory, PARTITIONS: '2', ...env },
			encoding: 'utf8',
		});
		return { status, stdout, stderr };
	};
	const gone = `${TOPIC}/0: ${GROUP} stands at 1, the log begins at 3: 2 records never come into this store\n`;
	expect(run([GROUP])).toEqual({ status: 0, stderr: '', stdout: `${gone}Nothing was changed; with --yes it goes on from where the log begins\n` });
	const lock = lockDataDirectory(directory);
	expect(run([GROUP, '--yes'])).toMatchObject({ status: 1, stderr: expect.stringContaining(`process ${process.pid} holds it`) });
	lock.release();
	expect(run([GROUP, '--yes'])).toEqual({ status: 0, stderr: '', stdout: `${gone}${GROUP} goes on from where the log begins, at its next start\n` });
	expect(run([GROUP])).toMatchObject({ status: 0, stdout: `The log holds every position of ${GROUP}: nothing to skip\n` });
	expect(run(['features'])).toMatchObject({ status: 1, stderr: expect.stringContaining('There is no group "features", only decisions-to-postgres,') });
	expect(run([])).toMatchObject({ status: 1, stdout: expect.stringContaining('GROUP is one of decisions-to-postgres') });
	expect(run([GROUP], { SURGECAST_DATA_DIR: join(directory, 'nowhere') })).toMatchObject({ status: 1, stderr: expect.stringContaining('There is no log in') });
	log = open();
});
