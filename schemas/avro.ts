// Avro records of the log. A schema never changes in place: a new version gets a new id, and readers resolve the old one
// (stream/avro/codec.test.ts reads fixtures of every version ever written). Values carry the Confluent frame: byte 0, the id as int32, the record.

const user = {
	type: 'record',
	name: 'UserEvent',
	namespace: 'surgecast',
	fields: [
		{ name: 'event_id', type: 'string' },
		{ name: 'event_type', type: { type: 'enum', name: 'UserEventType', symbols: ['booking', 'search', 'cancel'] } },
		{ name: 'region_id', type: 'string' },
		{ name: 'timestamp', type: 'long' },
		{ name: 'ingested_at', type: 'long' },
		{ name: 'user_hash', type: ['null', 'string'], default: null },
		{ name: 'product_type', type: ['null', 'string'], default: null },
		{ name: 'metadata', type: ['null', 'string'], default: null },
	],
} as const;

const supply = {
	type: 'record',
	name: 'SupplyEvent',
	namespace: 'surgecast',
	fields: [
		{ name: 'event_id', type: 'string' },
		{ name: 'event_type', type: { type: 'enum', name: 'SupplyEventType', symbols: ['driver_status', 'supply_snapshot'] } },
		{ name: 'region_id', type: 'string' },
		{ name: 'timestamp', type: 'long' },
		{ name: 'ingested_at', type: 'long' },
		{ name: 'driver_hash', type: ['null', 'string'], default: null },
		{ name: 'status', type: ['null', { type: 'enum', name: 'DriverStatus', symbols: ['available', 'busy', 'offline'] }], default: null },
		{ name: 'available_drivers', type: ['null', 'int'], default: null },
		{ name: 'busy_drivers', type: ['null', 'int'], default: null },
	],
} as const;

const external = {
	type: 'record',
	name: 'ExternalEvent',
	namespace: 'surgecast',
	fields: [
		{ name: 'event_id', type: 'string' },
		{ name: 'event_type', type: { type: 'enum', name: 'ExternalEventType', symbols: ['weather', 'traffic', 'city_event'] } },
		{ name: 'region_id', type: 'string' },
		{ name: 'timestamp', type: 'long' },
		{ name: 'ingested_at', type: 'long' },
		{ name: 'temperature_c', type: ['null', 'double'], default: null },
		{ name: 'precipitation_mm_h', type: ['null', 'double'], default: null },
		{ name: 'traffic_index', type: ['null', 'double'], default: null },
		{ name: 'name', type: ['null', 'string'], default: null },
		{ name: 'starts_at', type: ['null', 'long'], default: null },
		{ name: 'ends_at', type: ['null', 'long'], default: null },
		{ name: 'attendance', type: ['null', 'int'], default: null },
	],
} as const;

/** Features of a region at a minute, in the order of featureNames: as served (`live`) or as the log says for ever (`final`). */
const demandSignal = {
	type: 'record',
	name: 'DemandSignal',
	namespace: 'surgecast',
	fields: [
		{ name: 'region_id', type: 'string' },
		{ name: 'kind', type: { type: 'enum', name: 'DemandSignalKind', symbols: ['live', 'final'] } },
		{ name: 'feature_set', type: 'string' },
		{ name: 'as_of', type: 'long' },
		{ name: 'values', type: { type: 'array', items: ['null', 'double'] } },
	],
} as const;

/** What a decision was made from; decisions refer to it by id. */
const snapshot = {
	type: 'record',
	name: 'Snapshot',
	namespace: 'surgecast',
	fields: [
		{ name: 'snapshot_id', type: 'string' },
		{ name: 'region_id', type: 'string' },
		{ name: 'body', type: 'string', doc: 'JSON' },
	],
} as const;

const decision = {
	type: 'record',
	name: 'Decision',
	namespace: 'surgecast',
	fields: [
		{ name: 'decision_id', type: 'string' },
		{ name: 'region_id', type: 'string' },
		{ name: 'decided_at', type: 'long' },
		{ name: 'isolate', type: 'string' },
		{ name: 'sequence', type: 'long' },
		{ name: 'snapshot_id', type: 'string' },
		{ name: 'product_type', type: 'string' },
		{ name: 'status', type: 'string' },
		{ name: 'amount_minor', type: 'long' },
		{ name: 'currency', type: 'string' },
		{ name: 'surge_multiplier', type: 'double' },
		{ name: 'release', type: 'int' },
		{ name: 'rule_set', type: 'int' },
		{ name: 'model', type: ['null', 'string'], default: null },
		{ name: 'user_hash', type: ['null', 'string'], default: null },
		{ name: 'answer', type: 'string', doc: 'JSON' },
		{ name: 'inputs', type: 'string', doc: 'JSON' },
	],
} as const;

/** Under --replay: the city's clock has come to this instant. */
const tick = { type: 'record', name: 'Tick', namespace: 'surgecast', fields: [{ name: 'now', type: 'long' }] } as const;

/** By the id in the frame. */
export const avroSchemas = { 1: user, 2: supply, 3: external, 4: demandSignal, 5: snapshot, 6: decision, 7: tick } as const;
export type AvroSchemaId = keyof typeof avroSchemas;
export const avroIds = { user: 1, supply: 2, external: 3, demandSignal: 4, snapshot: 5, decision: 6, tick: 7 } as const;
