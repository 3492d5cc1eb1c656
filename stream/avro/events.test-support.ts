import * as fc from 'fast-check';
import type { Event } from '#schemas/event.ts';

// Any event that ingestion may append.

const text = (maxLength: number) => fc.string({ unit: 'grapheme', minLength: 1, maxLength });
const at = fc.integer({ min: 0, max: Date.UTC(2100, 0) });
const common = { event_id: text(40), region_id: fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,20}$/), timestamp: at, ingested_at: at };
const nullable = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });
const number = fc.double({ min: -1000, max: 1000, noNaN: true }).map((value) => value + 0);
const drivers = fc.integer({ min: 0, max: 1_000_000 });
const plain = { noNullPrototype: true };

export const anyEvent: fc.Arbitrary<Event> = fc.oneof(
	...(['booking', 'search', 'cancel'] as const).map((event_type) =>
		fc.record(
			{
				...common,
				event_type: fc.constant(event_type),
				user_hash: nullable(fc.stringMatching(/^[0-9a-f]{64}$/)),
				product_type: nullable(text(20)),
				metadata: nullable(fc.json()),
			},
			plain,
		),
	),
	fc.record(
		{
			...common,
			event_type: fc.constant('driver_status' as const),
			driver_hash: fc.stringMatching(/^[0-9a-f]{64}$/),
			status: fc.constantFrom('available' as const, 'busy' as const, 'offline' as const),
		},
		plain,
	),
	fc.record({ ...common, event_type: fc.constant('supply_snapshot' as const), available_drivers: drivers, busy_drivers: drivers }, plain),
	fc.record({ ...common, event_type: fc.constant('weather' as const), temperature_c: number, precipitation_mm_h: number }, plain),
	fc.record({ ...common, event_type: fc.constant('traffic' as const), traffic_index: number }, plain),
	fc.record(
		{
			...common,
			event_type: fc.constant('city_event' as const),
			name: text(40),
			starts_at: at,
			ends_at: at,
			attendance: nullable(fc.integer({ min: 0, max: 1e9 })),
		},
		plain,
	),
);
