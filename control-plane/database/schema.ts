// The control plane's tables. Instants are milliseconds since 1970, as in the contracts between our processes; JSON is kept as text, as it was written,
// since jsonb would refuse \u0000 and lose the order of keys.
import { bigint, bigserial, boolean, customType, doublePrecision, index, integer, pgSequence, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';

const instant = (column: string) => bigint(column, { mode: 'number' });
const bytes = customType<{ data: Uint8Array }>({ dataType: () => 'bytea' });

/** Numbers every change of the catalogue, so that a reader can ask for what came after. */
export const catalogueChange = pgSequence('catalogue_change');

export const region = pgTable(
	'region',
	{
		/** The order of creation. */
		number: bigserial('number', { mode: 'number' }).notNull(),
		region_id: text('region_id').primaryKey(),
		name: text('name').notNull(),
		time_zone: text('time_zone').notNull(),
		rule_set: text('rule_set').notNull(),
		location_hint: text('location_hint'),
		neighbours: text('neighbours').notNull(),
		profile: text('profile'),
		minutes_per_booking: doublePrecision('minutes_per_booking').notNull(),
		holidays: text('holidays'),
		holiday_dates: text('holiday_dates').notNull(),
		frozen: boolean('frozen').notNull(),
		/** Grows with every change of the entry; a Shard takes a greater one only. */
		version: integer('version').notNull(),
		/** The last change's number in the sequence catalogue_change. */
		change: bigint('change', { mode: 'number' }).notNull(),
	},
	(table) => [index('region_number').on(table.number), index('region_change').on(table.change), index('region_rule_set').on(table.rule_set)],
);

export const ruleSet = pgTable('rule_set', {
	version: integer('version').primaryKey(),
	name: text('name').notNull(),
	/** Compact JSON, as it travels. */
	document: text('document').notNull(),
	/** SHA-256 of the document's bytes. */
	digest: text('digest').notNull(),
	created_at: instant('created_at').notNull(),
	created_by: text('created_by').notNull(),
});

export const release = pgTable('release', {
	release: integer('release').primaryKey(),
	/** The signed payload: schemas/release.ts as JSON. */
	content: text('content').notNull(),
	jws: text('jws').notNull(),
	created_at: instant('created_at').notNull(),
	created_by: text('created_by').notNull(),
});

export const releaseAcknowledgement = pgTable(
	'release_acknowledgement',
	{ release: integer('release').notNull(), shard: integer('shard').notNull(), at: instant('at').notNull() },
	(table) => [primaryKey({ columns: [table.release, table.shard] })],
);

export const clientKeys = pgTable('client_keys', {
	version: integer('version').primaryKey(),
	issuer: text('issuer').notNull(),
	audience: text('audience').notNull(),
	jwks: text('jwks').notNull(),
});

export const configChange = pgTable('config_change', {
	number: bigserial('number', { mode: 'number' }).primaryKey(),
	at: instant('at').notNull(),
	who: text('who').notNull(),
	what: text('what').notNull(),
	from: text('from').notNull(),
	to: text('to').notNull(),
});

export const model = pgTable(
	'model',
	{
		/** The order of registration. */
		number: bigserial('number', { mode: 'number' }).notNull(),
		name: text('name').notNull(),
		version: integer('version').notNull(),
		digest: text('digest').notNull(),
		/** As it was sent. Its digest and the model's bytes are addresses in KV, too. */
		manifest: text('manifest').notNull(),
		manifest_digest: text('manifest_digest').notNull(),
		bytes: bytes('bytes').notNull(),
		created_at: instant('created_at').notNull(),
		created_by: text('created_by').notNull(),
	},
	(table) => [primaryKey({ columns: [table.name, table.version] }), index('model_number').on(table.number)],
);

export const snapshot = pgTable('snapshot', {
	snapshot_id: text('snapshot_id').primaryKey(),
	body: text('body').notNull(),
	created_at: instant('created_at').notNull(),
});

/**
 * One partition a UTC day of decided_at, which drizzle cannot say: the tables of the days, and the function that makes them, stand in the migration
 * decision_days. A partitioned table's key must have the column that parts it; a decision's decided_at never changes, so the id alone is unique as well.
 */
export const decision = pgTable(
	'decision',
	{
		decision_id: text('decision_id').notNull(),
		region_id: text('region_id').notNull(),
		decided_at: instant('decided_at').notNull(),
		status: text('status').notNull(),
		release: integer('release').notNull(),
		rule_set: integer('rule_set').notNull(),
		user_hash: text('user_hash'),
		snapshot_id: text('snapshot_id').notNull(),
		isolate: text('isolate').notNull(),
		sequence: integer('sequence').notNull(),
		answer: text('answer').notNull(),
		inputs: text('inputs').notNull(),
	},
	(table) => [
		primaryKey({ columns: [table.decision_id, table.decided_at] }),
		index('decision_region').on(table.region_id, table.decided_at, table.decision_id),
		index('decision_decided_at').on(table.decided_at, table.decision_id),
		index('decision_snapshot').on(table.snapshot_id), // retention asks whether anything refers to a snapshot still
	],
);

// The feature worker's checkpoints, where the log does not keep them itself.

/** Who may write for a partition of the log: a greater epoch fences off every lower one. */
export const featureOwner = pgTable('feature_owner', { part: integer('part').primaryKey(), epoch: bigint('epoch', { mode: 'number' }).notNull() });

export const featureProgress = pgTable('feature_progress', { part: integer('part').primaryKey(), body: text('body').notNull() });

export const featureRegion = pgTable(
	'feature_region',
	{ part: integer('part').notNull(), region_id: text('region_id').notNull(), recent: bytes('recent').notNull(), active: bytes('active').notNull() },
	(table) => [primaryKey({ columns: [table.part, table.region_id] })],
);

export const featureRegionDay = pgTable(
	'feature_region_day',
	{ part: integer('part').notNull(), region_id: text('region_id').notNull(), day: integer('day').notNull(), counts: bytes('counts').notNull() },
	(table) => [primaryKey({ columns: [table.part, table.region_id, table.day] })],
);

export const featureIds = pgTable(
	'feature_ids',
	{ part: integer('part').notNull(), bucket: integer('bucket').notNull(), chunk: integer('chunk').notNull(), hashes: bytes('hashes').notNull() },
	(table) => [primaryKey({ columns: [table.part, table.bucket, table.chunk] })],
);

/** What was settled at the first start and must not change: the kind of clock. */
export const deployment = pgTable('deployment', { name: text('name').primaryKey(), value: text('value').notNull() });
