import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { checkpoint, restoreWindow } from './checkpoint.ts';
import { busyDrivers, features } from './features.ts';
import { advance, fold } from './fold.ts';
import { arrive, chance, LATENESS_MS, scene, user } from './scenes.test-support.ts';
import { usualWeek } from './usual-week.ts';
import { emptyWindow, type RegionWindow } from './window.ts';

const MINUTE = 60_000;
const NOON = Date.UTC(2026, 0, 14, 4);
const seed = fc.integer({ min: 1, max: 2 ** 31 });

/** A store as the feature worker keeps it. */
class Store {
	recent: Uint8Array = new Uint8Array();
	readonly days = new Map<number, Uint8Array>();

	save(window: RegionWindow): void {
		const { recent, days } = checkpoint(window);
		this.recent = recent;
		for (const { day, counts } of days) this.days.set(day, counts);
	}
	restore(): RegionWindow {
		return restoreWindow({ recent: this.recent, days: [...this.days].map(([day, counts]) => ({ day, counts })) });
	}
}

describe('restoreWindow()', () => {
	test('makes a window that behaves as the original, wherever it was checkpointed', () => {
		fc.assert(
			fc.property(scene, seed, fc.integer({ min: 0, max: 10 }), (one, way, restarts) => {
				const unbroken = arrive(one, way);
				// The same arrivals, but now and then the process dies and goes on from the store.
				const random = chance(way);
				const deaths = chance(way + restarts);
				const arrivals = one.events
					.map((event) => ({ event, at: event.timestamp - 300_000 + Math.floor(random() * (300_000 + LATENESS_MS)) }))
					.sort((a, b) => a.at - b.at);
				const store = new Store();
				let window = emptyWindow({ lateness_ms: LATENESS_MS });
				for (const { event, at } of arrivals) {
					if (random() < 0.7) advance(window, Math.min(at - Math.floor(random() * 30_000), one.now));
					fold(window, event);
					if (deaths() > 0.1 * restarts) continue;
					store.save(window);
					if (deaths() < 0.5) window = store.restore();
				}
				store.save(window);
				window = store.restore();
				advance(window, one.now);
				expect(features(window, one.region, one.now)).toEqual(features(unbroken, one.region, one.now));
				expect(usualWeek(window, one.region, one.now)).toEqual(usualWeek(unbroken, one.region, one.now));
				for (const back of [0, 7, 14]) {
					const minute = Math.floor(one.now / MINUTE) * MINUTE - back * MINUTE;
					expect(features(window, one.region, minute)).toEqual(features(unbroken, one.region, minute));
					expect(busyDrivers(window, minute)).toBe(busyDrivers(unbroken, minute));
				}
				// And goes on alike, also where what comes is as late as it may be.
				for (const event of one.events.slice(0, 20)) {
					const after = { ...event, event_id: `${event.event_id}+`, timestamp: one.now - Math.floor(random() * LATENESS_MS) };
					fold(window, after);
					fold(unbroken, after);
				}
				advance(window, one.now + MINUTE);
				advance(unbroken, one.now + MINUTE);
				expect(features(window, one.region, one.now + MINUTE)).toEqual(features(unbroken, one.region, one.now + MINUTE));
				const minute = Math.floor(one.now / MINUTE) * MINUTE - 9 * MINUTE;
				expect(features(window, one.region, minute)).toEqual(features(unbroken, one.region, minute));
			}),
			{ numRuns: 200 },
		);
	});

	test('takes a window of another lateness', () => {
		const window = emptyWindow({ lateness_ms: LATENESS_MS });
		advance(window, NOON);
		for (let i = 1; i < 80; i++) fold(window, user('booking', NOON - i * MINUTE));
		const region = { time_zone: 'Asia/Singapore', profile: null, holiday_dates: [] };
		const { recent, days } = checkpoint(window);
		for (const lateness_ms of [60_000, 3_600_000])
			expect(features(restoreWindow({ recent, days, lateness_ms }), region, NOON)).toEqual(features(window, region, NOON));
	});

	test('refuses bytes of another form', () => {
		const { recent } = checkpoint(emptyWindow({ lateness_ms: LATENESS_MS }));
		recent[0] = 99;
		expect(() => restoreWindow({ recent, days: [] })).toThrow('its form is 99');
	});
});

describe('checkpoint()', () => {
	test('hands out only the days that changed since the last one', () => {
		const window = emptyWindow({ lateness_ms: LATENESS_MS });
		const midnight = Date.UTC(2026, 0, 15);
		advance(window, midnight + 1000);
		fold(window, user('booking', midnight - 1));
		fold(window, user('booking', midnight));
		const days = () => checkpoint(window).days.map(({ day }) => day);
		expect(days()).toEqual([midnight / 86_400_000 - 1, midnight / 86_400_000]);
		expect(days()).toEqual([]);
		fold(window, user('search', midnight));
		expect(days()).toEqual([]);
		fold(window, user('booking', midnight + 1));
		expect(days()).toEqual([midnight / 86_400_000]);
	});
});

describe('ByteReader', () => {
	test('reads what ByteWriter wrote', () => {
		const written = fc.record({
			numbers: fc.array(fc.oneof(fc.maxSafeNat(), fc.nat())),
			doubles: fc.array(fc.double()),
			strings: fc.array(fc.string({ unit: 'binary' })),
			counts: fc.array(fc.oneof(fc.constant(0), fc.nat())),
		});
		fc.assert(
			fc.property(written, ({ numbers, doubles, strings, counts }) => {
				const writer = new ByteWriter();
				for (const value of numbers) writer.number(value);
				for (const value of doubles) writer.double(value);
				for (const value of strings) writer.string(value);
				writer.counts(Uint32Array.from(counts));
				const reader = new ByteReader(writer.take());
				expect(numbers.map(() => reader.number())).toEqual(numbers);
				expect(doubles.map(() => reader.double())).toEqual(doubles);
				expect(strings.map(() => reader.string())).toEqual(strings);
				expect(reader.counts()).toEqual(counts);
				expect(reader.ended).toBe(true);
			}),
		);
	});
});
