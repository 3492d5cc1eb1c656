import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { lagMeter } from './lag.ts';

const at = (value: number) => Promise.resolve(value);

test('a lag is how long ago the ends were asked that are passed now; a reader at the ends has none', async () => {
	let [now, end, position] = [1000, 10, 0];
	const meter = lagMeter({ places: () => [{ key: 'a', position: () => at(position), end: () => at(end) }], now: () => now });
	expect(meter.lag()).toEqual({ records: 0, since: 1000 });
	now = 2000;
	await meter.look();
	expect(meter.lag()).toEqual({ records: 10, since: 1000 });
	[now, end, position] = [3000, 30, 9];
	await meter.look();
	expect(meter.lag()).toEqual({ records: 21, since: 1000 });
	[now, position] = [4000, 10]; // the end as of 2000
	await meter.look();
	expect(meter.lag()).toEqual({ records: 20, since: 2000 });
	[now, end, position] = [5000, 60, 29]; // the end as of 4000 was 30
	await meter.look();
	expect(meter.lag()).toEqual({ records: 31, since: 2000 });
	[now, position] = [6000, 60];
	await meter.look();
	expect(meter.lag()).toEqual({ records: 0, since: 6000 });
});

test('a place that another reader has now is not waited for, one that came is, and a log that does not answer changes nothing', async () => {
	let now = 1000;
	let places = [{ key: 'a', position: () => at(0), end: () => at(5) }];
	const meter = lagMeter({ places: () => places, now: () => now });
	await meter.look();
	now = 2000;
	places = [{ key: 'b', position: () => at(2), end: () => at(3) }];
	await meter.look();
	expect(meter.lag()).toEqual({ records: 1, since: 1000 });
	now = 3000;
	places = [{ key: 'b', position: () => at(2), end: () => Promise.reject(new Error('away')) }];
	await expect(meter.look()).rejects.toThrow('away');
	expect(meter.lag()).toEqual({ records: 1, since: 1000 });
	now = 4000;
	places = [];
	await meter.look();
	expect(meter.lag()).toEqual({ records: 0, since: 4000 });
});

test('law: everything appended until `since` is moved, and no look makes it older', async () => {
	const step = fc.record({ ms: fc.nat({ max: 5 }), appended: fc.nat({ max: 3 }), moved: fc.nat({ max: 4 }), looks: fc.boolean() });
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
			let [now, position] = [0, 0];
			const appended: number[] = []; // when, by offset
			const meter = lagMeter({ places: () => [{ key: 'a', position: () => at(position), end: () => at(appended.length) }], now: () => now });
			for (const { ms, appended: more, moved, looks } of steps) {
				for (let n = 0; n < more; n++) appended.push(now);
				now += ms + 1;
				position = Math.min(appended.length, position + moved);
				const before = meter.lag();
				if (looks) await meter.look();
				const { since, records } = meter.lag();
				expect(since).toBeGreaterThanOrEqual(before.since);
				if (looks) expect(records).toBe(appended.length - position);
				expect(appended.filter((when) => when < since).length).toBeLessThanOrEqual(position);
			}
		}),
	);
});
