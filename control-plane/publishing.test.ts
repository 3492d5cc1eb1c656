// What reaches the edge, in which order, and what happens when it does not answer.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { partition } from '#schemas/partition.ts';
import { recordAcknowledgements } from './database/releases.ts';
import { createPublishing } from './publishing.ts';
import { createReconciler } from './reconcile.ts';
import { cityDocument, type TestControlPlane, testControlPlane } from './test-control-plane.ts';
import { UnavailableError } from './unavailable-error.ts';

let city: TestControlPlane;
beforeAll(async () => {
	city = await testControlPlane();
}, 60_000);
afterAll(() => city.close());
beforeEach(() => {
	city.edge.down = false;
	city.edge.kvDown = false;
	for (const shard of city.edge.shards) shard.down = false;
	city.edge.calls.length = 0;
});

const get = async (path: string) => (await city.call('viewer', 'GET', `/api/v1/${path}`)).json;
const save = async (name: string, more = {}): Promise<number> =>
	(await city.call('author', 'POST', '/api/v1/rule-sets', { body: cityDocument({ name, ...more }) })).json.version;
const publish = (version: number) => city.call('operator', 'POST', `/api/v1/rule-sets/${version}/publish`);

describe('publish', () => {
	it('writes the body, then the pointer, then pushes', async () => {
		const { status } = await publish(await save('order'));
		expect(status).toBe(201);
		expect(city.edge.calls).toEqual(['putBody rule-set', 'putBody release', 'pushRelease']);
	});

	it('changes nothing when the body cannot be stored at the edge', async () => {
		const version = await save('unstored');
		const before = await get('releases/current');
		city.edge.kvDown = true;
		const answer = await publish(version);
		expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
		expect(await get('releases/current')).toEqual(before);
		city.edge.kvDown = false;
		expect((await publish(version)).status).toBe(201);
	});

	it.each(['the next push', 'the reconciler'])(
		'F29: a push that dies after 2 of 4 shards leaves each on one whole release, names who is missing, and %s converges',
		async (by) => {
			await city.controlPlane.reconcileNow();
			const before = city.edge.shards.map(({ release }) => release);
			const version = await save('halfway', { validity_seconds: 90 });
			const { pushRelease } = city.edge;
			city.edge.pushRelease = async (request) => {
				await pushRelease({ ...request, shards: [0, 1] });
				throw new UnavailableError('The edge does not answer.');
			};
			const { status, json } = await publish(version);
			city.edge.pushRelease = pushRelease;
			expect(status).toBe(201);
			for (const n of [0, 1]) expect(city.edge.shards[n]!.release).toMatchObject({ release: json.release, rule_sets: { halfway: { version } } });
			for (const n of [2, 3]) expect(city.edge.shards[n]!.release).toEqual(before[n]);
			const shown = await get('releases/current');
			expect([shown.release, shown.missing]).toEqual([json.release, [0, 1, 2, 3]]); // nobody's word came back
			let last = json.release;
			if (by === 'the reconciler') expect(await city.controlPlane.reconcileNow()).toEqual({ behind: [], kv: true });
			else last = (await publish(await save('halfway'))).json.release;
			expect(city.edge.shards.map(({ release }) => release?.release)).toEqual([last, last, last, last]);
			expect((await get('releases/current')).missing).toEqual([]);
		},
	);

	it('succeeds past a shard that does not answer, shows it as missing, and the reconciler brings it back', async () => {
		const version = await save('outage');
		city.edge.shards[2]!.down = true;
		const { status, json } = await publish(version);
		expect(status).toBe(201);
		const current = await get('releases/current');
		expect([current.release, current.missing]).toEqual([json.release, [2]]);
		expect(current.acknowledged.map((one: { shard: number }) => one.shard)).toEqual([0, 1, 3]);
		city.edge.shards[2]!.down = false;
		expect(await city.controlPlane.reconcileNow()).toEqual({ behind: [], kv: true });
		expect(city.edge.shards[2]!.release?.release).toBe(json.release);
		expect((await get('releases/current')).missing).toEqual([]);
	});

	it('counts a shard that is past a release as having it', async () => {
		city.edge.shards[1]!.down = true;
		const first = (await publish(await save('past'))).json.release;
		city.edge.shards[1]!.down = false;
		await publish(await save('past'));
		const shown = await get(`releases/${first}`);
		expect(shown.missing).toEqual([]);
		expect(shown.acknowledged).toHaveLength(4);
	});

	it('gives a new region’s shard the release that it missed before the entry', async () => {
		const id = 'after-outage';
		const shard = city.edge.shards[partition(id, 4)]!;
		shard.down = true;
		await publish(await save('missed'));
		shard.down = false;
		const { status } = await city.call('operator', 'PUT', `/api/v1/regions/${id}`, { body: { name: 'x', time_zone: 'UTC', rule_set: 'missed' } });
		expect(status).toBe(201);
		expect([shard.release?.rule_sets['missed'] !== undefined, shard.entries.has(id)]).toEqual([true, true]);
	});

	it('answers although the push hangs', async () => {
		const version = await save('hangs');
		const { pushRelease } = city.edge;
		const hanging: (() => void)[] = [];
		city.edge.pushRelease = async (request) => {
			await new Promise<void>((resolve) => {
				hanging.push(resolve);
			});
			return pushRelease(request);
		};
		const { status, json } = await publish(version);
		expect(status).toBe(201);
		expect((await get('releases/current')).missing).toEqual([0, 1, 2, 3]);
		city.edge.pushRelease = pushRelease;
		for (const letGo of hanging) letGo();
		await city.controlPlane.publishing.settled();
		expect((await get('releases/current')).missing).toEqual([]);
		expect(json.release).toBeGreaterThan(0);
	});
});

describe('reconcileNow()', () => {
	it('fills an edge that lost everything', async () => {
		for (const shard of city.edge.shards) {
			shard.release = null;
			shard.pointer = null;
			shard.entries.clear();
		}
		city.edge.kv.clear();
		// A process that starts knows nothing of what KV had.
		const { connection } = city.database;
		const clientKeys = () => JSON.parse(JSON.stringify(keys));
		const keys = { version: 7, issuer: 'surgecast-local', audience: 'surgecast', jwks: { keys: [] } };
		const options = { connection, edge: city.edge, partitions: 4, clientKeys };
		const publishing = createPublishing({ ...options, keys: city.keys, onIncomplete: () => {} });
		const reconciler = createReconciler({ ...options, publishing });
		expect(await reconciler.reconcileNow()).toEqual({ behind: [], kv: true });
		const current = await get('releases/current');
		for (const [n, shard] of city.edge.shards.entries()) {
			expect([shard.release?.release, shard.pointer?.keys.version]).toEqual([current.release, 7]);
			const catalogue = JSON.parse(city.edge.kv.get(`catalogue/${n}`)!) as { region_id: string; profile: unknown }[];
			expect(catalogue.map((entry) => entry.region_id).sort()).toEqual([...shard.entries.keys()].sort());
			expect(catalogue.every((entry) => entry.profile === null)).toBe(true);
		}
		expect([...city.edge.kv.keys()].filter((key) => key.startsWith('rule-set/'))).toHaveLength(
			new Set(Object.values(city.edge.shards[0]!.release!.rule_sets).map(({ digest }) => digest)).size,
		);
		city.edge.calls.length = 0;
		await reconciler.reconcileNow();
		expect(city.edge.calls).toEqual([]);
		await reconciler.stop();
	});

	it('never throws for the edge’s sake, and says who is behind', async () => {
		city.edge.down = true;
		expect(await city.controlPlane.reconcileNow()).toEqual({ behind: [0, 1, 2, 3], kv: true });
		city.edge.down = false;
		city.edge.shards[3]!.down = true;
		expect((await city.controlPlane.reconcileNow()).behind).toEqual([3]);
	});

	it('readyz and metrics tell what is behind, why and since when, and that it is over', async () => {
		const behind = async () => (await city.call(null, 'GET', '/readyz')).json.behind;
		const metric = async (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec((await city.call(null, 'GET', '/metrics')).text)?.[1]);
		await city.controlPlane.reconcileNow();
		expect([await behind(), await metric('surgecast_behind')]).toEqual([[], 0]);
		const inStep = await metric('surgecast_edge_in_step_timestamp_seconds');
		expect(Math.abs(inStep - Date.now() / 1000)).toBeLessThan(10);
		city.edge.shards[3]!.down = true;
		await city.controlPlane.reconcileNow();
		const first = await behind();
		expect(first).toEqual([{ what: 'shard 3', since: expect.stringMatching(/Z$/), seconds: 0, cause: 'does not answer' }]);
		await city.controlPlane.reconcileNow();
		expect((await behind())[0].since).toBe(first[0].since); // as old as it is, not as the last look
		expect([await metric('surgecast_behind'), await metric('surgecast_edge_in_step_timestamp_seconds')]).toEqual([1, inStep]);
		city.edge.kvDown = true;
		await publish(1);
		await city.controlPlane.reconcileNow();
		expect((await behind()).map(({ what }: { what: string }) => what)).toEqual(['shard 3', 'KV']);
		city.edge.kvDown = false;
		city.edge.shards[3]!.down = false;
		await city.controlPlane.reconcileNow();
		expect(await behind()).toEqual([]);
	});

	it('a release after a restored backup goes above what a shard already has', async () => {
		const current = (await get('releases/current')).release;
		await city.controlPlane.publishing.noteShard(0, current + 40);
		expect((await publish(await save('restored'))).json.release).toBe(current + 41);
	});

	it('the first acknowledgement counts', async () => {
		const { release, acknowledged } = await get('releases/current');
		await recordAcknowledgements(city.database.connection, { shards: [{ shard: 0, release }], at: Date.now() + 1_000_000 });
		expect((await get('releases/current')).acknowledged).toEqual(acknowledged);
	});
});
