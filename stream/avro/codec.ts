import avro from 'avsc';
import { type AvroSchemaId, avroIds, avroSchemas } from '#schemas/avro.ts';
import type { DecisionRecord } from '#schemas/decision.ts';
import type { Event } from '#schemas/event.ts';
import type { FeatureVector } from '#schemas/feature.ts';
import type { Snapshot } from '#schemas/snapshot.ts';

const FRAME_BYTES = 5;
const types = new Map<number, avro.Type>(
	Object.entries(avroSchemas).map(([id, schema]) => [Number(id), avro.Type.forSchema(schema as unknown as avro.Schema)]), // avsc's type does not know readonly arrays
);
let scratch = Buffer.allocUnsafe(64 * 1024);

function encode(id: AvroSchemaId, value: object): Uint8Array {
	const type = types.get(id)!;
	for (;;) {
		scratch[0] = 0;
		scratch.writeInt32BE(id, 1);
		const end = type.encode(value, scratch, FRAME_BYTES);
		if (end > 0) return Uint8Array.prototype.slice.call(scratch, 0, end);
		scratch = Buffer.allocUnsafe((scratch.length - end) * 2);
	}
}

/** What a value of the log is. */
export type Decoded =
	| { kind: 'event'; event: Event }
	| { kind: 'tick'; now: number }
	| { kind: 'signal'; signal: DemandSignal }
	| { kind: 'snapshot'; snapshot: Snapshot }
	| { kind: 'decision'; record: DecisionRecord };

export interface DemandSignal {
	region_id: string;
	kind: 'live' | 'final';
	feature_set: string;
	/** Milliseconds since 1970. */
	as_of: number;
	values: FeatureVector;
}

const ID_OF = {
	booking: avroIds.user,
	search: avroIds.user,
	cancel: avroIds.user,
	driver_status: avroIds.supply,
	supply_snapshot: avroIds.supply,
	weather: avroIds.external,
	traffic: avroIds.external,
	city_event: avroIds.external,
} as const;
/** avsc wants every field of a record; those of the other kinds are null. */
const NOTHING = {
	[avroIds.user]: {},
	[avroIds.supply]: { driver_hash: null, status: null, available_drivers: null, busy_drivers: null },
	[avroIds.external]: {
		temperature_c: null,
		precipitation_mm_h: null,
		traffic_index: null,
		name: null,
		starts_at: null,
		ends_at: null,
		attendance: null,
	},
} as const;

export function encodeEvent(event: Event): Uint8Array {
	const id = ID_OF[event.event_type];
	return encode(id, id === avroIds.user ? event : { ...NOTHING[id], ...event });
}

export const encodeTick = (now: number): Uint8Array => encode(avroIds.tick, { now });
export const encodeSignal = (signal: DemandSignal): Uint8Array => encode(avroIds.demandSignal, signal);

export function encodeSnapshot(snapshot: Snapshot): Uint8Array {
	return encode(avroIds.snapshot, { snapshot_id: snapshot.snapshot_id, region_id: snapshot.region.region_id, body: JSON.stringify(snapshot) });
}

export function encodeDecision(record: DecisionRecord): Uint8Array {
	const { answer, inputs } = record;
	return encode(avroIds.decision, {
		decision_id: record.decision_id,
		region_id: record.region_id,
		decided_at: record.decided_at,
		isolate: record.isolate,
		sequence: record.sequence,
		snapshot_id: inputs.snapshot_id,
		product_type: answer.product_type,
		status: answer.status,
		amount_minor: answer.amount_minor,
		currency: answer.currency,
		surge_multiplier: answer.surge_multiplier,
		release: answer.versions.release,
		rule_set: answer.versions.rule_set,
		model: answer.versions.model,
		user_hash: inputs.user_hash,
		answer: JSON.stringify(answer),
		inputs: JSON.stringify(inputs),
	});
}

/** Why bytes of the log cannot be read; they go to dead-letter as they are. */
export class Undecodable extends Error {}

/** The fields that an event of a type cannot be without; the schema has them nullable, since its record serves several types. */
const NEEDED: Record<Event['event_type'], readonly string[]> = {
	booking: [],
	search: [],
	cancel: [],
	driver_status: ['driver_hash', 'status'],
	supply_snapshot: ['available_drivers', 'busy_drivers'],
	weather: ['temperature_c', 'precipitation_mm_h'],
	traffic: ['traffic_index'],
	city_event: ['name', 'starts_at', 'ends_at'],
};

function event(record: Record<string, unknown>): Event {
	const type = record['event_type'] as Event['event_type'];
	for (const field of NEEDED[type]) {
		const value = record[field];
		if (value === null || (typeof value === 'number' && !Number.isFinite(value))) throw new Undecodable(`a ${type} with ${field} ${value}`);
	}
	return record as unknown as Event; // the schema's type by now, and its type's fields are there
}

function json(text: unknown, field: string): unknown {
	try {
		return JSON.parse(text as string);
	} catch {
		throw new Undecodable(`its ${field} is not JSON`);
	}
}

/** @throws Undecodable for a missing frame, an unknown schema id or a broken record. */
export function decode(value: Uint8Array): Decoded {
	if (value.length < FRAME_BYTES || value[0] !== 0) throw new Undecodable('no Confluent frame');
	const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
	const id = bytes.readInt32BE(1);
	const type = types.get(id);
	if (!type) throw new Undecodable(`unknown schema id ${id}`);
	let record: Record<string, unknown>;
	try {
		const result = type.decode(bytes, FRAME_BYTES) as { value: Record<string, unknown>; offset: number };
		if (result.offset !== bytes.length) throw new Error(result.offset < 0 ? 'cut short' : 'bytes left over');
		record = result.value;
	} catch (error) {
		throw new Undecodable(`a broken record of schema ${id}: ${error instanceof Error ? error.message : error}`);
	}
	// The records are of the schema's type by now: the assertions only name it.
	switch (id) {
		case avroIds.tick:
			return { kind: 'tick', now: record['now'] as number };
		case avroIds.demandSignal:
			return { kind: 'signal', signal: record as unknown as DemandSignal };
		case avroIds.snapshot:
			return { kind: 'snapshot', snapshot: json(record['body'], 'body') as Snapshot };
		case avroIds.decision:
			return {
				kind: 'decision',
				record: {
					decision_id: record['decision_id'] as string,
					region_id: record['region_id'] as string,
					decided_at: record['decided_at'] as number,
					isolate: record['isolate'] as string,
					sequence: record['sequence'] as number,
					answer: json(record['answer'], 'answer') as DecisionRecord['answer'],
					inputs: json(record['inputs'], 'inputs') as DecisionRecord['inputs'],
				},
			};
		default:
			return { kind: 'event', event: event(record) };
	}
}
