import type { ClickHouseClient } from '@clickhouse/client';
import type { ClickHousePlace } from '#control-plane/configuration.ts';
import type { DecisionRecord } from '#schemas/decision.ts';
import { FEATURE_SET, type FeatureName, featureNames } from '#schemas/feature.ts';
import type { Forecast, Horizon } from '#schemas/forecast.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import type { Topic } from '#schemas/topic.ts';
import { encodeDecision, encodeSignal, encodeSnapshot } from '../avro/codec.ts';
import type { Appended } from '../log/event-log.ts';
import { clickHouseClient } from './clickhouse-store.ts';

declare module 'vitest' {
	export interface ProvidedContext {
		clickhouse: string;
	}
}

let databases = 0;

/** A database of its own on a server, and a client that looks into it. */
export async function freshDatabase(url: string): Promise<{ place: ClickHousePlace; client: ClickHouseClient; remove(): Promise<void> }> {
	const database = `test_${process.pid}_${Date.now()}_${databases++}`;
	const place = { url, username: 'default', password: '', database };
	const admin = clickHouseClient({ ...place, database: 'default' });
	await admin.command({ query: 'CREATE DATABASE {database:Identifier}', query_params: { database } });
	const client = clickHouseClient(place);
	return {
		place,
		client,
		async remove() {
			await client.close();
			await admin.command({ query: 'DROP DATABASE IF EXISTS {database:Identifier} SYNC', query_params: { database } });
			await admin.close();
		},
	};
}

/** The first row of an answer. */
export async function one<T>(client: ClickHouseClient, query: string): Promise<T> {
	const answer = await client.query({ query, format: 'JSONEachRow', clickhouse_settings: { output_format_json_quote_64bit_integers: 0 } });
	return (await answer.json<T>())[0]!;
}

/** How many different records a table has. */
export const countOf = async (client: ClickHouseClient, table: string): Promise<number> =>
	(await one<{ n: number }>(client, `SELECT count() AS n FROM ${table} FINAL`)).n;

export const appended = (topic: Topic, value: Uint8Array, more: Partial<Appended> = {}): Appended => ({
	topic,
	partition: 0,
	key: 'r-0',
	value,
	timestamp: 1,
	...more,
});

export function forecastOf(model: string, expected: [number, number, number], band = 2): Forecast {
	const horizons = [15, 30, 60].map((minutes, at) => ({ minutes, expected: expected[at], low: expected[at]! - band, high: expected[at]! + band }));
	return { model, horizons: horizons as unknown as [Horizon, Horizon, Horizon], out_of_domain: false };
}

export function snapshotOf(id: string, options: { region_id?: string; as_of?: number; champion?: Forecast; canary?: Forecast | null } = {}): Snapshot {
	const { region_id = 'r-0', as_of, champion = forecastOf('pulse', [1, 2, 4]), canary = null } = options;
	return {
		snapshot_id: id,
		region: {
			region_id,
			name: region_id,
			time_zone: 'Asia/Singapore',
			rule_set: 'city',
			location_hint: null,
			minutes_per_booking: 20,
			frozen: false,
			version: 1,
		},
		release: 1,
		rule_set: { version: 1, digest: 'd' } as Snapshot['rule_set'],
		features: as_of === undefined ? null : { version: 1, as_of, values: featureNames.map(() => 1) },
		forecasts: as_of === undefined ? null : { champion, canary },
		usual: null,
	};
}

export interface DecisionOptions {
	region_id?: string;
	decided_at?: number;
	snapshot_id?: string;
	surge_multiplier?: number;
	amount_minor?: number;
	currency?: string;
	sequence?: number;
}

export function decisionOf(decision_id: string, options: DecisionOptions = {}): DecisionRecord {
	const { region_id = 'r-0', decided_at = 1, snapshot_id = 's', surge_multiplier = 1, amount_minor = 1200, currency = 'SGD', sequence = 1 } = options;
	return {
		decision_id,
		region_id,
		decided_at,
		isolate: 'i',
		sequence,
		answer: {
			decision_id,
			trace_id: 'a'.repeat(32),
			region_id,
			product_type: 'standard_ride',
			price: amount_minor / 100,
			amount_minor,
			currency,
			base_price: 12,
			surge_multiplier,
			decided_at: new Date(decided_at).toISOString(),
			valid_until: new Date(decided_at + 120_000).toISOString(),
			status: 'priced',
			reasons: [],
			factors: {},
			lines: [],
			forecast: null,
			versions: { release: 1, rule_set: 1, model: 'pulse', features: 1, features_as_of: null, age_ms: 0 },
		},
		inputs: {
			request: { product_type: 'standard_ride', attributes: {}, bucket: null },
			at: { hour: 1, day_of_week: 1, date: '2026-01-11' },
			arm: 'champion',
			experiment: null,
			snapshot_id,
			timestamp: null,
			user_hash: null,
			pricing: 1,
			rule_set_digest: 'd',
		},
	};
}

export const decided = (...args: Parameters<typeof decisionOf>): Appended => appended('pricing-decisions', encodeDecision(decisionOf(...args)));
export const snapped = (...args: Parameters<typeof snapshotOf>): Appended => appended('pricing-decisions', encodeSnapshot(snapshotOf(...args)));

export function finalOf(as_of: number, options: { region_id?: string; kind?: 'final' | 'live'; values?: Partial<Record<FeatureName, number>> } = {}): Appended {
	const { region_id = 'r-0', kind = 'final', values = {} } = options;
	return appended(
		'demand-signals',
		encodeSignal({ region_id, kind, feature_set: FEATURE_SET, as_of, values: featureNames.map((name) => values[name] ?? null) }),
	);
}
