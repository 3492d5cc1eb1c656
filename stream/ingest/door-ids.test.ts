import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EventInput } from '#schemas/event.ts';
import { openDoorIds, seenEvent } from './door-ids.ts';

const DAY = 24 * 3_600_000;
let path: string;
beforeEach(() => {
	path = mkdtempSync(join(tmpdir(), 'surgecast-ids-'));
});
afterEach(() => rmSync(path, { recursive: true, force: true }));
const booking = (more: Partial<EventInput> = {}) => ({ event_type: 'booking', region_id: 'r', ...more }) as EventInput;
const seen = (id: string, more: Partial<EventInput> = {}) => seenEvent(booking(more), id);

test('seenEvent() ignores key order, the alias of the id and the timestamp, and nothing else', () => {
	const payload = (event: EventInput) => seenEvent(event, 'x').payload.toString('hex');
	const base = booking({ metadata: { a: 1, b: [1, { c: 2, d: 3 }] } });
	expect(payload(booking({ metadata: { b: [1, { d: 3, c: 2 }], a: 1 } }))).toBe(payload(base));
	expect(payload({ ...base, event_id: 'x' })).toBe(payload({ ...base, idempotency_key: 'x', timestamp: 5 }));
	for (const other of [
		{ ...base, user_id: 'u' },
		{ ...base, region_id: 'q' },
		booking({ metadata: { a: 1, b: [{ c: 2, d: 3 }, 1] } }),
		booking({ metadata: { a: '1' } }),
	])
		expect(payload(other as EventInput)).not.toBe(payload(base));
});

test('find() knows what was remembered, over a restart', () => {
	const first = openDoorIds(path, { now: 0 });
	expect(first.find('a')).toBeUndefined();
	first.remember([seen('a', { timestamp: 7 }), seen('b')], 0);
	expect(first.find('a')).toEqual(seen('a', { timestamp: 7 }));
	first.close();
	const second = openDoorIds(path, { now: DAY });
	expect(second.find('a')?.timestamp).toBe(7);
	expect(second.find('b')?.timestamp).toBeNull();
	second.close();
});

test('find() knows an id for 24 hours at least and forgets it after two generations', () => {
	const ids = openDoorIds(path, { now: 0 });
	ids.remember([seen('a')], DAY - 1);
	ids.remember([seen('b')], DAY);
	ids.remember([seen('c')], 2 * DAY - 2);
	expect(ids.find('a')).toBeDefined(); // 24 hours after
	ids.remember([seen('d')], 2 * DAY);
	expect(ids.find('a')).toBeUndefined();
	expect(ids.find('b')).toBeDefined();
	ids.close();
	const again = openDoorIds(path, { now: 2 * DAY });
	expect(again.find('b')).toBeDefined();
	again.remember([seen('e')], 3 * DAY);
	expect(again.find('c')).toBeUndefined();
	expect(again.find('d')).toBeDefined();
	again.close();
});

test('remember() keeps the bound of ids, the oldest forgotten first', () => {
	const ids = openDoorIds(path, { now: 0, ids_max: 20 });
	for (let n = 0; n < 100; n++) ids.remember([seen(`id-${n}`)], n);
	expect(ids.find('id-99')).toBeDefined();
	expect(ids.find('id-90')).toBeDefined();
	expect(ids.find('id-79')).toBeUndefined();
	ids.close();
});
