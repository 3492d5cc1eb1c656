import type { DecisionRecord } from '#schemas/decision.ts';
import type { Event } from '#schemas/event.ts';
import { FEATURE_SET, featureNames } from '#schemas/feature.ts';
import { limits } from '#schemas/limits.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import type { Topic } from '#schemas/topic.ts';
import { type Decoded, type DemandSignal, decode, Undecodable } from '../avro/codec.ts';
import type { StoredRecord } from '../log/event-log.ts';
import { type Table, type TableName, tables } from './clickhouse-tables.ts';

/** Values in the order of the table's columns. */
export type Row = readonly unknown[];
/** Rows by their table. */
export type Rows = Partial<Record<TableName, Row[]>>;

/** The object's fields in the order of the table's columns; what it does not have is null. */
function ordered(name: TableName, fields: Record<string, unknown>): Row {
	return (tables[name] as Table).columns.map(([column]) => fields[column] ?? null);
}

function ofEvent(event: Event): Rows {
	return { event: [ordered('event', event as unknown as Record<string, unknown>)] };
}

function ofSignal({ kind, feature_set, region_id, as_of, values }: DemandSignal): Rows {
	if (kind !== 'final') return {}; // what was served is in the decisions' snapshots
	if (feature_set !== FEATURE_SET) throw new Undecodable(`features of set "${feature_set}", wanted are those of "${FEATURE_SET}"`);
	if (values.length !== featureNames.length) throw new Undecodable(`${values.length} features, wanted are ${featureNames.length}`);
	return { final: [[region_id, as_of, feature_set, ...values]] };
}

function ofDecision({ answer, inputs, ...record }: DecisionRecord): Rows {
	const { product_type, status, amount_minor, currency, surge_multiplier, versions } = answer;
	const { snapshot_id, user_hash, arm, experiment } = inputs;
	const { release, rule_set, model } = versions;
	const fields = {
		...record,
		product_type,
		status,
		amount_minor,
		currency,
		surge_multiplier,
		release,
		rule_set,
		model,
		snapshot_id,
		user_hash,
		arm,
		experiment,
	};
	return { decision: [ordered('decision', { ...fields, answer: JSON.stringify(answer), inputs: JSON.stringify(inputs) })] };
}

function ofSnapshot(snapshot: Snapshot): Rows {
	const { snapshot_id, region, features, forecasts } = snapshot;
	const as_of = features?.as_of ?? 0;
	const made = features === null ? [] : [forecasts?.champion, forecasts?.canary].filter((one) => one !== null && one !== undefined);
	return {
		snapshot: [[region.region_id, as_of, snapshot_id, JSON.stringify(snapshot)]],
		forecast: made.flatMap(({ model, horizons, out_of_domain }) =>
			horizons.map(({ minutes, expected, low, high }) => [region.region_id, as_of, model, minutes, expected, low, high, out_of_domain]),
		),
	};
}

/** The rows of a record of the log. @throws Undecodable for one that no row can be made of. */
export function rowsOf(decoded: Decoded): Rows {
	try {
		switch (decoded.kind) {
			case 'event':
				return ofEvent(decoded.event);
			case 'signal':
				return ofSignal(decoded.signal);
			case 'decision':
				return ofDecision(decoded.record);
			case 'snapshot':
				return ofSnapshot(decoded.snapshot);
			case 'tick':
				return {};
		}
	} catch (error) {
		// The JSON inside decisions and snapshots is whatever was written: a field may be missing.
		if (error instanceof TypeError) throw new Undecodable(`its body has not what a ${decoded.kind} has: ${error.message}`);
		throw error;
	}
}

/** `812 ms late` -> `# ms late`: few kinds, whatever the numbers and names in them. */
export function reasonKind(reason: string): string {
	const [kind = ''] = reason
		.replaceAll(/"[^"]*"/g, '"…"')
		.replaceAll(/-?\d[\d.]*(e[+-]?\d+)?/g, '#')
		.split(': ');
	return kind.slice(0, limits.history_reason_chars_max);
}

/** The row of a record of a side topic, whose bytes may be anything; its reason and source are in its headers. */
export function rowsOfAside({ key, value, timestamp, headers, offset }: StoredRecord, { topic, log }: { topic: Topic; log: string }): Rows {
	const event = eventOf(value);
	const reason = (headers?.['reason'] ?? 'no reason given').toWellFormed().slice(0, limits.history_reason_chars_max);
	const fields = {
		topic,
		// The event's own stamp, not the side topic's: a record that is written there again has the same.
		at: event?.ingested_at ?? timestamp,
		log,
		source: headers?.['source'] ?? `${topic}/0/${offset}`,
		region_id: (event?.region_id ?? key).toWellFormed().slice(0, limits.history_reason_chars_max),
		event_type: event?.event_type ?? '',
		event_id: event?.event_id ?? '',
		kind: reasonKind(reason),
		reason,
	};
	return { aside: [ordered('aside', fields)] };
}

function eventOf(value: Uint8Array): Event | undefined {
	try {
		const decoded = decode(value);
		return decoded.kind === 'event' ? decoded.event : undefined;
	} catch (error) {
		if (error instanceof Undecodable) return undefined;
		throw error;
	}
}

/** Adds rows to others, table by table. */
export function addRows(to: Rows, more: Rows): void {
	for (const [name, rows] of Object.entries(more) as [TableName, Row[]][]) {
		const had = to[name];
		if (had) had.push(...rows);
		else to[name] = [...rows];
	}
}
