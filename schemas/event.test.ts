import { expect, test } from 'vitest';
import { eventInput } from './event.ts';
import { limits } from './limits.ts';
import { parse } from './parse.ts';

const booking = { event_type: 'booking', region_id: 'sg-central' };
const errorsOf = (event: unknown) => {
	const result = parse(eventInput, event);
	return result.ok ? [] : [...new Set(result.errors.map(({ path }) => path))];
};
const nested = (levels: number): unknown => (levels === 1 ? {} : { a: nested(levels - 1) });

test('eventInput takes every event of the contract', () => {
	const events = [
		{ ...booking, event_id: 'b-1', timestamp: '2026-01-11T10:30:00Z', user_id: 'u-77', product_type: 'standard_ride', metadata: {} },
		{ ...booking, idempotency_key: 'b-1', event_id: 'b-1' },
		{ ...booking, event_type: 'search' },
		{ ...booking, event_type: 'cancel', event_id: '😀' },
		{ event_type: 'driver_status', region_id: 'r', driver_id: 'd', status: 'offline' },
		{ event_type: 'supply_snapshot', region_id: 'r', available_drivers: 0 },
		{ event_type: 'weather', region_id: 'r', temperature_c: -3.5, precipitation_mm_h: 0 },
		{ event_type: 'traffic', region_id: 'r', traffic_index: 1 },
		{ event_type: 'city_event', region_id: 'r', name: 'x', starts_at: '2026-01-11T10:30:00Z', ends_at: '2026-01-11T11:30:00+01:00', attendance: 5 },
	];
	for (const event of events.slice(0, -1)) expect(errorsOf(event), JSON.stringify(event)).toEqual([]);
	expect(errorsOf(events.at(-1))).toEqual(['/ends_at']); // the same instant in another zone
});

test('eventInput refuses with the path of the field', () => {
	const cases: [unknown, string[]][] = [
		[{ ...booking, surprise: 1 }, ['/surprise']],
		[{ ...booking, event_id: 'a', idempotency_key: 'b' }, ['/idempotency_key']],
		[{ ...booking, event_id: '' }, ['/event_id']],
		[{ ...booking, event_id: 'x'.repeat(129) }, ['/event_id']],
		[{ ...booking, user_id: 'a\u0000b' }, ['/user_id']],
		[{ ...booking, region_id: 'SG' }, ['/region_id']],
		[{ ...booking, timestamp: '2026-02-30T00:00:00Z' }, ['/timestamp']],
		[{ ...booking, event_type: 'party' }, ['/event_type']],
		[{ region_id: 'r' }, ['/event_type']],
		[{ ...booking, status: 'busy' }, ['/status']],
		[{ event_type: 'driver_status', region_id: 'r', driver_id: 'd', status: 'asleep' }, ['/status']],
		[{ event_type: 'supply_snapshot', region_id: 'r', available_drivers: 1.5 }, ['/available_drivers']],
		[{ event_type: 'supply_snapshot', region_id: 'r', available_drivers: 2 ** 53 + 2 }, ['/available_drivers']],
		[{ event_type: 'weather', region_id: 'r', temperature_c: Number.POSITIVE_INFINITY, precipitation_mm_h: 0 }, ['/temperature_c']],
	];
	for (const [event, paths] of cases) expect(errorsOf(event), JSON.stringify(event)).toEqual(paths);
});

test('eventInput takes metadata of 8 levels and 16,384 bytes, and no more', () => {
	expect(errorsOf({ ...booking, metadata: nested(8) })).toEqual([]);
	expect(errorsOf({ ...booking, metadata: nested(9) })).toEqual(['/metadata']);
	const overhead = '{"a":""}'.length;
	const umlauts = (bytes: number) => ({ a: 'é'.repeat((bytes - overhead) / 2) });
	expect(errorsOf({ ...booking, metadata: umlauts(limits.metadata_bytes_max) })).toEqual([]);
	expect(errorsOf({ ...booking, metadata: umlauts(limits.metadata_bytes_max + 2) })).toEqual(['/metadata']);
	expect(errorsOf({ ...booking, metadata: { a: JSON.parse('1e400') } })).toEqual(['/metadata']);
	expect(errorsOf({ ...booking, metadata: [] })).toEqual(['/metadata']);
	expect(errorsOf({ ...booking, metadata: { deep: [{ text: '\ud800' }] } })).toEqual(['/metadata/deep/0/text']);
});
