import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { IdIndex } from './id-index.ts';

const SEEDS = [17, -4] as [number, number];
const MINUTE = 60_000;
const step = fc.record({ id: fc.nat(60), minute: fc.nat(40) });

test('add() answers as a Set of ids would, whatever the timestamps', () => {
	fc.assert(
		fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
			const index = new IdIndex(SEEDS);
			const known = new Set<number>();
			for (const { id, minute } of steps) {
				expect(index.add(`id-${id}`, minute * MINUTE)).toBe(!known.has(id));
				known.add(id);
			}
			expect(index.size).toBe(known.size);
		}),
	);
});

test('add() tells 200,000 ids apart, also those that differ in one character', () => {
	const index = new IdIndex(SEEDS);
	for (let n = 0; n < 200_000; n++) expect(index.add(n % 2 ? `0199c0de-7e57-7000-8000-${n}` : `${n}`, n)).toBe(true);
	for (let n = 0; n < 200_000; n += 97) expect(index.add(n % 2 ? `0199c0de-7e57-7000-8000-${n}` : `${n}`, 0)).toBe(false);
	expect(index.size).toBe(200_000);
});

test('add() with `since` answers the same whether old buckets were freed or not', () => {
	fc.assert(
		fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
			const kept = new IdIndex(SEEDS);
			const freed = new IdIndex(SEEDS);
			let now = 0;
			for (const { id, minute } of steps) {
				now = Math.max(now, minute * MINUTE);
				const since = now - 12 * MINUTE;
				if (minute * MINUTE < since) continue;
				expect(freed.add(`id-${id}`, minute * MINUTE, since)).toBe(kept.add(`id-${id}`, minute * MINUTE, since));
				freed.forget(since);
			}
			expect(freed.size).toBeLessThanOrEqual(kept.size);
		}),
	);
});

test('forget() frees whole buckets, and `first` says which stored ones may go', () => {
	const index = new IdIndex(SEEDS);
	index.add('old', 4 * MINUTE);
	index.add('young', 6 * MINUTE);
	index.forget(5 * MINUTE);
	expect(index.size).toBe(1);
	expect(index.first).toBe(1);
	index.forget(0);
	expect(index.first).toBe(1);
	expect(index.changes().map(({ bucket }) => bucket)).toEqual([1]);
	expect(index.add('old', 7 * MINUTE)).toBe(true);
	expect(index.add('young', 7 * MINUTE)).toBe(false);
});

test('changes() never loses an id when a save fails, and gives each once when it does not', () => {
	fc.assert(
		fc.property(fc.array(fc.record({ ids: fc.array(step, { maxLength: 20 }), saved: fc.boolean() }), { maxLength: 20 }), (rounds) => {
			const index = new IdIndex(SEEDS);
			const known = new Set<number>();
			const store: { bucket: number; hashes: Uint8Array }[] = [];
			for (const { ids, saved } of [...rounds, { ids: [], saved: true }]) {
				for (const { id, minute } of ids) {
					index.add(`id-${id}`, minute * MINUTE);
					known.add(id);
				}
				const changes = index.changes();
				if (!saved) continue;
				store.push(...changes);
				index.saved();
			}
			const restored = new IdIndex(SEEDS);
			for (const part of store) restored.restore(part);
			expect(restored.size).toBe(known.size);
			expect(store.reduce((sum, { hashes }) => sum + hashes.length, 0)).toBe(known.size * 8);
			for (const id of known) expect(restored.add(`id-${id}`, 0)).toBe(false);
			expect(restored.add('another', 0)).toBe(true);
		}),
	);
});
