import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DecisionBatch, DecisionRecord } from '#schemas/decision.ts';
import { limits } from '#schemas/limits.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import type { Database } from './database/database.ts';
import { listDecisions, readReplayable, storeDecisions } from './database/decisions.ts';
import { createRetention } from './retention.ts';
import { testDatabase } from './test-database.ts';

const DAY_MS = 24 * 3_600_000;
const CITY_NOW = Date.parse('2015-06-01T00:00:00Z'); // a replay's clock
const WALL = Date.parse('2026-03-01T00:00:00Z');
let database: Database;
beforeEach(async () => {
	database = await testDatabase();
});
afterEach(() => database.close());

/** As much of a decision as the store reads. */
const decision = (id: string, { at, snapshot }: { at: number; snapshot: string }) =>
	({
		decision_id: id,
		region_id: 'r',
		decided_at: at,
		isolate: 'i',
		sequence: 1,
		answer: { status: 'priced', versions: { release: 1, rule_set: 1 } },
		inputs: { snapshot_id: snapshot, user_hash: null },
	}) as unknown as DecisionRecord;
const snapshot = (id: string) => ({ snapshot_id: id }) as Snapshot;
const store = (batch: DecisionBatch, now = WALL) => storeDecisions(database.connection, batch, now);
const retention = (options: { clock?: number; wall?: number } = {}) =>
	createRetention({ connection: database.connection, clock: () => options.clock ?? CITY_NOW, wall: () => options.wall ?? WALL });
const kept = async () => (await listDecisions(database.connection, { limit: 500 })).items.map(({ decision_id }) => decision_id).sort();
const hasSnapshot = async (decisionId: string) => (await readReplayable(database.connection, decisionId))?.snapshot != null;

describe('createRetention()', () => {
	it('drops a day of decisions when all of it is older than the retention by the deployment clock, and no younger one', async () => {
		const limit = CITY_NOW - limits.decisions_keep_ms;
		await store({
			decisions: [
				decision('old', { at: limit - 1, snapshot: 's' }),
				decision('edge', { at: limit, snapshot: 's' }),
				decision('new', { at: CITY_NOW, snapshot: 's' }),
			],
			snapshots: [snapshot('s')],
		});
		expect(await retention({ clock: CITY_NOW - 1 }).deleteDue()).toEqual({ days: 0, snapshots: 0 });
		expect(await kept()).toEqual(['edge', 'new', 'old']);
		expect(await retention().deleteDue()).toEqual({ days: 1, snapshots: 0 });
		expect(await kept()).toEqual(['edge', 'new']);
		expect(await retention({ clock: CITY_NOW + DAY_MS - 1 }).deleteDue()).toMatchObject({ days: 0 });
		expect(await retention({ clock: CITY_NOW + DAY_MS }).deleteDue()).toMatchObject({ days: 1 });
		expect(await kept()).toEqual(['new']);
	});

	it('deletes in steps, all of it, what a wrong clock dated before all days, and its snapshots', async () => {
		const count = limits.retention_step * 2 + 7;
		const decisions = Array.from({ length: count }, (_, n) => decision(`d-${n}`, { at: n, snapshot: `s-${n}` }));
		await store({ decisions, snapshots: decisions.map(({ inputs }) => snapshot(inputs.snapshot_id)) });
		expect(await retention({ wall: WALL + limits.snapshot_unused_ms + 1 }).deleteDue()).toEqual({ days: 0, snapshots: count });
		expect(await kept()).toEqual([]);
	});

	it('never deletes a snapshot that a decision refers to, however old it is', async () => {
		await store({
			decisions: [
				decision('old', { at: 0, snapshot: 'shared' }),
				decision('new', { at: CITY_NOW, snapshot: 'shared' }),
				decision('gone', { at: CITY_NOW - 60 * DAY_MS, snapshot: 'own' }),
			],
			snapshots: [snapshot('shared'), snapshot('own')],
		});
		expect(await retention({ wall: WALL + 365 * DAY_MS }).deleteDue()).toEqual({ days: 1, snapshots: 1 });
		expect(await kept()).toEqual(['new']);
		expect(await hasSnapshot('new')).toBe(true);
	});

	it('leaves a young snapshot alone, and one that came again: its decisions may be on their way', async () => {
		await store({ decisions: [], snapshots: [snapshot('s')] });
		expect(await retention({ wall: WALL + limits.snapshot_unused_ms }).deleteDue()).toEqual({ days: 0, snapshots: 0 });
		const later = WALL + limits.snapshot_unused_ms + 1;
		await store({ decisions: [], snapshots: [snapshot('s'), snapshot('s')] }, later); // the sink joins batches, so one may be there twice
		expect(await retention({ wall: later }).deleteDue()).toEqual({ days: 0, snapshots: 0 });
		await store({ decisions: [decision('late', { at: CITY_NOW, snapshot: 's' })], snapshots: [] }, later);
		expect(await hasSnapshot('late')).toBe(true);
		expect(await retention({ wall: later + limits.snapshot_unused_ms + 1 }).deleteDue()).toEqual({ days: 0, snapshots: 0 });
	});
});
