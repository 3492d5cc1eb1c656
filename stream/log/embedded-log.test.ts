import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, expect, test } from 'vitest';
import { retentionMs, topics } from '#schemas/topic.ts';
import { crc32c } from './crc32c.ts';
import { openEmbeddedLog } from './embedded-log.ts';
import { eventLogContract } from './event-log.contract.ts';
import { type Appended, LogUnavailable } from './event-log.ts';
import { featureCheckpointsContract } from './feature-checkpoints.contract.ts';
import { PartitionsDiffer } from './partitions-differ.ts';

const ALL = { offset: 0, records_max: 100_000, bytes_max: 1 << 30 };
const made: string[] = [];
function directory(): string {
	const path = mkdtempSync(join(tmpdir(), 'surgecast-log-'));
	made.push(path);
	return path;
}
afterEach(() => {
	for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});
const record = (value: Uint8Array, more: Partial<Appended> = {}): Appended => ({
	topic: 'user-events',
	partition: 0,
	key: 'r',
	value,
	timestamp: 1000,
	...more,
});

eventLogContract('openEmbeddedLog()', () => {
	const path = mkdtempSync(join(tmpdir(), 'surgecast-log-'));
	return {
		open: async () => openEmbeddedLog(path, { partitions: 4 }),
		flipBit({ topic, partition, offset }) {
			const db = new DatabaseSync(join(path, 'log.sqlite'));
			const where = 'WHERE topic = ? AND part = ? AND offset = ?';
			const at = [topics.indexOf(topic), partition, offset] as const;
			const value = db.prepare(`SELECT value FROM record ${where}`).get(...at)?.['value'] as Uint8Array;
			value[1]! ^= 4;
			db.prepare(`UPDATE record SET value = ? ${where}`).run(value, ...at);
			db.close();
		},
		remove: async () => rmSync(path, { recursive: true, force: true }),
	};
});

test('crc32c() gives the check values of RFC 3720', () => {
	expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
	expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
	expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
	expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
	const text = new TextEncoder().encode('123456789');
	expect(crc32c(text.subarray(4), crc32c(text, 0, 4))).toBe(0xe3069283);
});

test('openEmbeddedLog() with other PARTITIONS names both', async () => {
	const path = directory();
	await openEmbeddedLog(path, { partitions: 4 }).close();
	expect(() => openEmbeddedLog(path, { partitions: 8 })).toThrow(PartitionsDiffer);
	expect(() => openEmbeddedLog(path, { partitions: 8 })).toThrow(/PARTITIONS=8.*PARTITIONS=4/);
	await openEmbeddedLog(path, { partitions: 4 }).close();
});

test('openEmbeddedLog() remembers the kind of clock that was set first', async () => {
	const path = directory();
	const log = openEmbeddedLog(path, { partitions: 4 });
	expect(log.clock.kind()).toBeUndefined();
	log.clock.set('wall');
	log.clock.set('city');
	expect(log.clock.kind()).toBe('wall');
	await log.close();
});

test('read() marks any changed column of a record', async () => {
	for (const change of ["key = 'R'", 'at = 1001', `headers = '{"a":"c"}'`, `headers = '{'`, 'crc = crc + 1', 'value = zeroblob(4)']) {
		const path = directory();
		const log = openEmbeddedLog(path, { partitions: 4 });
		await log.append([record(new Uint8Array([1, 2, 3, 4]), { headers: { a: 'b' } })]);
		const other = new DatabaseSync(join(path, 'log.sqlite'));
		other.exec(`UPDATE record SET ${change}`);
		other.close();
		expect(
			(await log.read('user-events', 0, ALL)).map(({ corrupt }) => corrupt),
			change,
		).toEqual([true]);
		await log.close();
	}
});

test('append() that was reported done survives kill -9 (F38)', async () => {
	const path = directory();
	for (let round = 0; round < 3; round++) {
		const child = spawn(process.execPath, [join(import.meta.dirname, 'append-for-ever.test-process.ts'), path], { stdio: ['ignore', 'pipe', 'inherit'] });
		let output = '';
		const enough = 50 + round * 37;
		await new Promise<void>((resolve, reject) => {
			const deadline = setTimeout(() => reject(new Error(`only ${output.length} bytes within 20 s`)), 20_000);
			child.stdout.on('data', (chunk) => {
				output += chunk;
				if (output.split('\n').length > enough) child.kill('SIGKILL');
			});
			child.on('exit', () => {
				clearTimeout(deadline);
				resolve();
			});
		});
		const lines = output.split('\n').slice(0, -1); // the last may be cut
		const done = Number(lines.at(-1));
		expect(done).toBeGreaterThanOrEqual(enough - 1);
		const log = openEmbeddedLog(path, { partitions: 4 });
		const ends = await Promise.all([0, 1, 2].map((partition) => log.end('user-events', partition)));
		// All or nothing: three partitions have the same, however the process died.
		expect(new Set(ends).size).toBe(1);
		const own = (await log.read('user-events', 1, ALL)).map(({ value, corrupt }) => (corrupt ? 'corrupt' : new TextDecoder().decode(value)));
		const from = own.lastIndexOf('append 0');
		expect(own.slice(from, from + done + 1)).toEqual(Array.from({ length: done + 1 }, (_, n) => `append ${n}`));
		await log.close();
	}
});

test('append() on a full disk throws LogUnavailable, reads go on, and there is room again after expire() (F16)', async () => {
	const log = openEmbeddedLog(directory(), { partitions: 4, pages_max: 200 });
	const value = new Uint8Array(20_000);
	let kept = 0;
	let refusal: unknown;
	while (kept < 1000 && refusal === undefined) {
		await log.append([record(value, { timestamp: kept }), record(value, { partition: 1, timestamp: kept })]).then(
			() => {
				kept += 1;
			},
			(error) => {
				refusal = error;
			},
		);
	}
	expect(refusal).toBeInstanceOf(LogUnavailable);
	expect(String(refusal)).toContain('full');
	expect(await log.end('user-events', 0)).toBe(kept);
	expect(await log.end('user-events', 1)).toBe(kept); // all or nothing
	expect(await log.read('user-events', 0, ALL)).toHaveLength(kept);
	// A group shares its fate: none of the turn is kept.
	const turn = await Promise.allSettled([log.append([record(new Uint8Array(1))]), log.append([record(new Uint8Array(100_000))])]);
	expect(turn.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
	expect(await log.end('user-events', 0)).toBe(kept);
	expect(await log.expire(retentionMs['user-events'] + kept)).toBeGreaterThan(0);
	await log.append([record(value)]);
	expect(await log.end('user-events', 0)).toBe(kept + 1);
	await log.close();
});

featureCheckpointsContract('the embedded log', async () => {
	const log = openEmbeddedLog(directory(), { partitions: 4 });
	return { checkpoints: log.checkpoints, close: () => log.close() };
});
