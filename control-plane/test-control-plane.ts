// For tests: a control plane in this process, its database in memory, its edge a fake, its door on a free port.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as z from 'zod';
import type { regionInput } from '#schemas/region.ts';
import type { Role } from '#schemas/role.ts';
import { type Configuration, parseConfiguration } from './configuration.ts';
import type { Database } from './database/database.ts';
import { createFakeEdge, type FakeEdge } from './fake-edge.ts';
import { type Keys, mintToken, openKeys, serviceJwks, serviceToken } from './keys.ts';
import { seed } from './seed.ts';
import { type ControlPlane, startControlPlane } from './start-control-plane.ts';
import { testDatabase } from './test-database.ts';

/** The contract's rule set document, under any name. */
export function cityDocument(more: Record<string, unknown> = {}): Record<string, unknown> {
	return {
		name: 'city',
		currency: 'SGD',
		products: { standard_ride: { base_price: '12.00', per_km: '0', minimum: '6.00', regions: { 'sg-airport': { base_price: '14.00' } } } },
		surge: {
			min_multiplier: 1,
			max_multiplier: 3,
			horizon_minutes: 15,
			demand_curve: [
				[0, -0.1],
				[0.5, 0],
				[0.87, 0.45],
				[1, 0.9],
			],
			supply_curve: [
				[0, 0.3],
				[0.5, 0],
				[0.6, -0.12],
				[1, -0.2],
			],
		},
		adjustments: [
			{
				id: 'airport-calm',
				when: "region.id == 'sg-central' && features.booking_count_5min < 500",
				then: { add_multiplier: -0.02 },
				priority: 10,
				active_from: null,
				active_to: null,
			},
		],
		rounding: { step: '0.05', mode: 'up' },
		validity_seconds: 120,
		staleness: { fresh_seconds: 120, stale_seconds: 600 },
		...more,
	};
}

export const sampleRegions: (z.input<typeof regionInput> & { region_id: string })[] = [
	{ region_id: 'sg-central', name: 'Central', time_zone: 'Asia/Singapore' },
	{ region_id: 'sg-airport', name: 'Airport', time_zone: 'Asia/Singapore', holidays: 'SG' },
];

export interface Answered {
	status: number;
	headers: Headers;
	text: string;
	// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
	json: any;
}

export interface TestControlPlane {
	configuration: Configuration;
	keys: Keys;
	database: Database;
	edge: FakeEdge;
	controlPlane: ControlPlane;
	token(role: Role, subject?: string): Promise<string>;
	/** A call with a JSON body, or with `raw` as it is. */
	call(
		role: Role | null,
		method: string,
		path: string,
		options?: { body?: unknown; raw?: RequestInit['body']; headers?: Record<string, string> },
	): Promise<Answered>;
	close(): Promise<void>;
}

export interface TestOptions {
	/** Filled with the contract's rule set and two regions, the edge in step. */
	seeded?: boolean;
	env?: Record<string, string>;
	/** A database of the test's own, empty; closed with the rest. */
	database?: Database;
}

/** Opens everything, in about a second. */
export async function testControlPlane({ seeded = true, env = {}, database: given }: TestOptions = {}): Promise<TestControlPlane> {
	const dataDir = mkdtempSync(join(tmpdir(), 'surgecast-control-plane-'));
	const configuration = parseConfiguration({ SURGECAST_DATA_DIR: dataDir, CONTROL_PLANE_PORT: '0', PARTITIONS: '4', ...env });
	const keys = openKeys(dataDir);
	const database = given ?? (await testDatabase());
	const edge = createFakeEdge({ partitions: configuration.partitions, serviceJwks: serviceJwks(keys) });
	if (seeded) await seed(database, { regions: sampleRegions, rule_sets: [cityDocument()], keys, now: Date.now() });
	const controlPlane = await startControlPlane({ configuration, keys, database, edge });
	if (seeded) await controlPlane.reconcileNow();
	const { audience } = configuration.auth;
	const tokens = new Map<string, Promise<string>>();

	const token = (role: Role, subject = `a-${role}`): Promise<string> => {
		const name = `${role} ${subject}`;
		const made =
			tokens.get(name) ??
			(role === 'service' ? serviceToken(keys, { kind: 'edge', audience }) : mintToken(keys, { role, subject, ttl_seconds: 600, audience }));
		tokens.set(name, made);
		return made;
	};

	return {
		configuration,
		keys,
		database,
		edge,
		controlPlane,
		token,
		async call(role, method, path, { body, raw, headers = {} } = {}) {
			const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body));
			const response = await controlPlane.app.request(path, {
				method,
				headers: {
					...(role === null ? {} : { authorization: `Bearer ${await token(role)}` }),
					...(sent === undefined ? {} : { 'content-type': 'application/json' }),
					...headers,
				},
				...(sent === undefined ? {} : { body: sent }),
			});
			const text = await response.text();
			let json: unknown;
			try {
				json = JSON.parse(text);
			} catch {
				json = undefined;
			}
			return { status: response.status, headers: response.headers, text, json };
		},
		async close() {
			await controlPlane.close();
			await database.close();
			rmSync(dataDir, { recursive: true, force: true });
		},
	};
}
