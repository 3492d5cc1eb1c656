import { readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { avroSchemas } from '#schemas/avro.ts';
import { featureNames } from '#schemas/feature.ts';
import { decode, encodeDecision, encodeEvent, encodeSignal, encodeSnapshot, encodeTick, Undecodable } from './codec.ts';
import { anyEvent } from './events.test-support.ts';

interface Fixture {
	schema_id: number;
	schema: unknown;
	values: { value: string; decoded: unknown }[];
}
const directory = new URL('../../schemas/fixtures/avro/', import.meta.url);
const fixtures = readdirSync(directory).map((file) => JSON.parse(readFileSync(new URL(file, directory), 'utf8')) as Fixture);

describe('schemas/fixtures/avro holds what was ever written', () => {
	test('every schema id has a fixture, and none was removed', () => {
		expect(fixtures.map(({ schema_id }) => schema_id).sort()).toEqual(Object.keys(avroSchemas).map(Number).sort());
		for (const { values } of fixtures) expect(values.length).toBeGreaterThan(0);
	});

	test.each(fixtures)('schema $schema_id is as it was: a change wants a new id and a new fixture', ({ schema_id, schema }) => {
		expect(JSON.parse(JSON.stringify(avroSchemas[schema_id as keyof typeof avroSchemas]))).toEqual(schema);
	});

	test.each(fixtures)('decode() reads every value of schema $schema_id', ({ schema_id, values }) => {
		for (const { value, decoded } of values) {
			const bytes = Buffer.from(value, 'base64');
			expect(bytes[0]).toBe(0);
			expect(bytes.readInt32BE(1)).toBe(schema_id);
			expect(JSON.parse(JSON.stringify(decode(bytes)))).toEqual(decoded);
		}
	});
});

test('encodeEvent(), decode() give back every event', () => {
	fc.assert(
		fc.property(anyEvent, (event) => {
			const decoded = decode(encodeEvent(event));
			expect(decoded.kind).toBe('event');
			if (decoded.kind === 'event') expect({ ...decoded.event }).toMatchObject(event);
		}),
		{ numRuns: 500 },
	);
});

test('encodeEvent() gives equal bytes for equal events, also far larger ones than the first', () => {
	const event = { event_id: 'x', event_type: 'booking', region_id: 'r', timestamp: 1, ingested_at: 2, user_hash: null, product_type: null } as const;
	const large = { ...event, metadata: JSON.stringify('☂'.repeat(100_000)) };
	expect(decode(encodeEvent(large))).toMatchObject({ event: large });
	expect(encodeEvent({ ...event, metadata: null })).toEqual(encodeEvent({ ...event, metadata: null }));
});

test('encodeSignal(), encodeTick(), encodeSnapshot(), encodeDecision() come back as they were', () => {
	const values = featureNames.map((_, i) => (i % 3 === 0 ? null : i / 7));
	const signal = { region_id: 'r', kind: 'final', feature_set: 'v1', as_of: 1_768_127_400_123, values } as const;
	expect(decode(encodeSignal(signal))).toMatchObject({ kind: 'signal', signal });
	expect(decode(encodeTick(17))).toEqual({ kind: 'tick', now: 17 });
	const snapshot = { snapshot_id: 's', region: { region_id: 'r' } } as unknown as Parameters<typeof encodeSnapshot>[0];
	expect(decode(encodeSnapshot(snapshot))).toEqual({ kind: 'snapshot', snapshot });
	const record = {
		decision_id: 'd',
		region_id: 'r',
		decided_at: 5,
		isolate: 'i',
		sequence: 3,
		answer: {
			product_type: 'p',
			status: 'priced',
			amount_minor: 1,
			currency: 'SGD',
			surge_multiplier: 1.5,
			versions: { release: 1, rule_set: 2, model: null },
		},
		inputs: { snapshot_id: 's', user_hash: null },
	} as unknown as Parameters<typeof encodeDecision>[0];
	expect(decode(encodeDecision(record))).toEqual({ kind: 'decision', record });
});

describe('decode() throws Undecodable and nothing else (F10)', () => {
	const undecodable = (bytes: Uint8Array): void => {
		try {
			decode(bytes);
		} catch (error) {
			expect(error).toBeInstanceOf(Undecodable);
		}
	};

	test('for any bytes', () => {
		fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), undecodable), { numRuns: 500 });
		fc.assert(
			fc.property(fc.integer({ min: -1, max: 9 }), fc.uint8Array({ maxLength: 200 }), (id, body) => {
				const head = Buffer.alloc(5);
				head.writeInt32BE(id, 1);
				undecodable(Buffer.concat([head, body]));
			}),
			{ numRuns: 2000 },
		);
	});

	test('for a record that is cut anywhere or has a byte too many', () => {
		fc.assert(
			fc.property(anyEvent, fc.double({ min: 0, max: 0.999, noNaN: true }), (event, part) => {
				const bytes = encodeEvent(event);
				expect(() => decode(bytes.slice(0, Math.floor(bytes.length * part)))).toThrow(Undecodable);
				expect(() => decode(Uint8Array.of(...bytes, 0))).toThrow(Undecodable);
			}),
		);
	});

	test('for an event without what its type needs', () => {
		const common = { event_id: 'x', region_id: 'r', timestamp: 1, ingested_at: 2 };
		const broken = [
			{ ...common, event_type: 'weather', temperature_c: null, precipitation_mm_h: 1 },
			{ ...common, event_type: 'weather', temperature_c: Number.NaN, precipitation_mm_h: 1 },
			{ ...common, event_type: 'traffic', traffic_index: Number.POSITIVE_INFINITY },
			{ ...common, event_type: 'driver_status', driver_hash: null, status: 'busy' },
			{ ...common, event_type: 'supply_snapshot', available_drivers: 3, busy_drivers: null },
			{ ...common, event_type: 'city_event', name: 'x', starts_at: null, ends_at: 3, attendance: null },
		];
		for (const event of broken)
			expect(() => decode(encodeEvent(event as never)), event.event_type).toThrow(/^an? (weather|traffic|driver_status|supply_snapshot|city_event) with/);
	});

	test('for a snapshot whose body is not JSON', () => {
		const good = encodeSnapshot({ snapshot_id: 's', region: { region_id: 'r' } } as never);
		const bad = Buffer.from(good);
		bad[bad.length - 1] = 0x21;
		expect(() => decode(bad)).toThrow('its body is not JSON');
	});
});
