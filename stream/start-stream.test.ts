import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { parseConfiguration } from '#control-plane/configuration.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import { retentionMs } from '#schemas/topic.ts';
import { encodeSnapshot } from './avro/codec.ts';
import { wallClock } from './clock.ts';
import { booking, fakeCatalogue, recordOf, until } from './features/river.test-support.ts';
import { openEmbeddedLog } from './log/embedded-log.ts';
import type { EventLog } from './log/event-log.ts';
import { startStream } from './start-stream.ts';

const REGIONS = Array.from({ length: 200 }, (_, n) => `r-${n}`);

// The river in one process as it is wired, but for the edge, which is away, and the store.

const made: (() => Promise<void> | void)[] = [];
afterEach(async () => {
	for (const undo of made.splice(0).reverse()) await undo();
});

/** The URL of a port on which nobody listens. */
async function nobody(): Promise<string> {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address() as AddressInfo;
	server.close();
	await once(server, 'close');
	return `http://127.0.0.1:${port}`;
}

async function start(options: { pages_max?: number; before?: (log: EventLog) => Promise<void>; store?: () => Promise<unknown> } = {}) {
	const path = mkdtempSync(join(tmpdir(), 'surgecast-stream-'));
	made.push(() => rmSync(path, { recursive: true, force: true }));
	const log = openEmbeddedLog(path, { partitions: 2, ...(options.pages_max ? { pages_max: options.pages_max } : {}) });
	await options.before?.(log);
	const stream = await startStream({
		configuration: parseConfiguration({ SURGECAST_DATA_DIR: path, INGEST_PORT: '0' }),
		log,
		checkpoints: log.checkpoints,
		directory: join(path, 'ingest'),
		catalogue: fakeCatalogue(REGIONS),
		clock: wallClock,
		pepper: 'pepper',
		authenticate: async () => ({ subject: 's', role: 'producer' }),
		token: async () => 'token',
		edge_url: await nobody(),
		store: options.store ?? (async () => undefined),
	});
	made.push(() => stream.stopTaking().then(() => stream.close()));
	const call = async (method: string, at: string, body?: unknown) => {
		const answer = await fetch(stream.url + at, {
			method,
			headers: { authorization: 'Bearer t', 'content-type': 'application/json' },
			...(body === undefined ? {} : { body: JSON.stringify(body) }),
		});
		// biome-ignore lint/suspicious/noExplicitAny: whatever the door answers
		return { status: answer.status, retry: answer.headers.get('retry-after'), json: (await answer.json()) as any };
	};
	const text = async (at: string) => (await fetch(stream.url + at)).text();
	return { log, stream, call, text };
}

test('startStream() with a full disk refuses events by 503 with Retry-After, folds and answers on, and recovers when there is space (F16)', async () => {
	const { log, stream, call, text } = await start({
		pages_max: 250,
		async before(log) {
			// Events of many regions, so that a checkpoint needs room; then others fill the disk, to the last bytes.
			await log.append(REGIONS.map((region_id) => recordOf(booking(region_id, Date.now(), { region_id }), 2)));
			for (let bytes = 20_000; bytes >= 100; bytes = Math.floor(bytes / 2)) {
				const filling = { topic: 'late-events', partition: 0, key: 'r-0', value: new Uint8Array(bytes), timestamp: Date.now() } as const;
				const fits = () =>
					log.append([filling]).then(
						() => true,
						() => false,
					);
				while (await fits());
			}
		},
	});
	const post = () => call('POST', '/api/v1/events', { event_type: 'booking', region_id: 'r-0', metadata: { filling: 'x'.repeat(500) } });
	let accepted = REGIONS.length;
	let refused = await post();
	for (; refused.status === 202 && accepted < REGIONS.length + 50; refused = await post()) accepted += 1;
	expect([refused.status, refused.retry, refused.json.code]).toEqual([503, '1', 'unavailable']);
	expect(refused.json.detail).toContain('full');
	await until('the fold of what was taken', () => stream.worker.counts.folded === accepted);
	// A checkpoint on a full disk fails and is told; the worker lives.
	await until('a failed checkpoint', () => stream.worker.counts.checkpoint_failures > 0, 15_000);
	expect(stream.worker.behind().map(({ cause }) => cause)).toContainEqual(expect.stringMatching(/^A checkpoint of partition \d failed: .*full/));
	await post();
	const unready = await call('GET', '/readyz');
	expect([unready.status, unready.json.detail]).toEqual([503, expect.stringContaining('full')]);
	expect(await text('/metrics')).toMatch(/^surgecast_behind [1-9]/m);
	expect(await log.expire(Date.now() + retentionMs['late-events'])).toBeGreaterThan(0);
	await until('an event that is taken', async () => (await post()).status === 202);
	await until('its fold', () => stream.worker.counts.folded === accepted + 1);
	await until('a checkpoint', () => !stream.worker.behind().some(({ cause }) => cause.includes('full')), 15_000);
	expect((await call('GET', '/readyz')).status).toBe(200);
}, 60_000);

test('startStream() with its edge and its store away is ready, and says in readyz and metrics what is behind, since when and why', async () => {
	const { log, call, text, stream } = await start({
		store: () => Promise.reject(new Error('Failed query: insert into decision\nparams: secret', { cause: new Error('no database') })),
	});
	await call('POST', '/api/v1/events', { event_type: 'booking', region_id: 'r-0' });
	const value = encodeSnapshot({ snapshot_id: 's', region: { region_id: 'r-0' } } as Snapshot);
	await log.append([{ topic: 'pricing-decisions', partition: 0, key: 'r-0', timestamp: Date.now(), value }]);
	await until('every failure', () => stream.worker.behind().length === 2 && stream.sinks.trouble() !== null);
	const { status, json } = await call('GET', '/readyz');
	expect([status, json.status]).toEqual([200, 'ready']);
	const entry = (what: string, cause: string | RegExp) => ({
		what,
		cause: expect.stringMatching(cause),
		since: expect.stringMatching(/Z$/),
		seconds: expect.any(Number),
	});
	expect(json.behind).toEqual([
		entry('features of partition 0', /^Shard 0 was not told: .*ECONNREFUSED/),
		entry('features of partition 1', /^Shard 1 was not told: .*ECONNREFUSED/),
		entry('the store of decisions', /^The store of decisions takes nothing; all waits in the log: no database$/),
	]);
	for (const { since, seconds } of json.behind) expect(Math.abs(Date.now() - Date.parse(since) - seconds * 1000)).toBeLessThan(10_000);
	expect(await text('/metrics')).toMatch(/^surgecast_behind 3$/m);
}, 30_000);
