import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Configuration, ConfigurationError, parseConfiguration } from './configuration.ts';

function fault(env: Record<string, string>): string {
	try {
		parseConfiguration(env);
	} catch (error) {
		expect(error).toBeInstanceOf(ConfigurationError);
		return (error as Error).message;
	}
	throw new Error(`accepted: ${JSON.stringify(env)}`);
}

describe('parseConfiguration()', () => {
	it('gives the defaults of the contract for an empty environment', () => {
		expect(parseConfiguration({})).toEqual({
			dataDir: resolve('.surgecast'),
			host: '127.0.0.1',
			edgePort: 8787,
			controlPlanePort: 8788,
			ingestPort: 8789,
			partitions: 8,
			logPath: null,
			kafka: null,
			database: resolve('.surgecast/database'),
			offlineStore: resolve('.surgecast/offline'),
			clickhouse: null,
			redis: null,
			edgeUrl: 'http://127.0.0.1:8787',
			ingestUrl: 'http://127.0.0.1:8789',
			statusPort: 0,
			keysDir: resolve('.surgecast'),
			auth: { issuer: 'surgecast-local', audience: 'surgecast', jwksUrl: null },
			latenessSeconds: 600,
			pushIntervalMs: 100,
			rateLimitPricesPer10s: null,
			rateLimitEventsPerMinute: null,
		});
	});

	it('takes empty variables for unset, and what is not ours for nobody’s business', () => {
		expect(parseConfiguration({ EDGE_PORT: '', CLICKHOUSE_URL: '', PATH: '/bin' })).toEqual(parseConfiguration({}));
	});

	it('reads every variable', () => {
		const configuration = parseConfiguration({
			SURGECAST_DATA_DIR: '/data',
			HOST: '0.0.0.0',
			EDGE_PORT: '1',
			CONTROL_PLANE_PORT: '2',
			INGEST_PORT: '3',
			PARTITIONS: '64',
			LOG_URL: 'file:///logs/log',
			DATABASE_URL: 'pglite:/pg',
			OFFLINE_STORE_URL: 'file:/off',
			AUTH_ISSUER: 'https://issuer.example/',
			AUTH_AUDIENCE: 'fares',
			AUTH_JWKS_URL: 'https://issuer.example/jwks',
			LATENESS_SECONDS: '0',
			PUSH_INTERVAL_MS: '50',
			RATE_LIMIT_PRICES_PER_10S: '100',
			RATE_LIMIT_EVENTS_PER_MINUTE: '60',
		});
		expect(configuration).toMatchObject({ dataDir: '/data', host: '0.0.0.0', edgePort: 1, controlPlanePort: 2, ingestPort: 3, partitions: 64 });
		expect(configuration).toMatchObject({ logPath: '/logs/log', database: '/pg', offlineStore: '/off', latenessSeconds: 0, pushIntervalMs: 50 });
		expect(configuration).toMatchObject({ rateLimitPricesPer10s: 100, rateLimitEventsPerMinute: 60 });
		expect(configuration.auth).toEqual({ issuer: 'https://issuer.example/', audience: 'fares', jwksUrl: 'https://issuer.example/jwks' });
	});

	it.each([
		['EDGE_PORT', '65536'],
		['EDGE_PORT', '-1'],
		['CONTROL_PLANE_PORT', '80x'],
		['INGEST_PORT', '1e3'],
		['PARTITIONS', '0'],
		['PARTITIONS', 'eight'],
		['HOST', 'a b'],
		['LOG_URL', 'http://x'],
		['LOG_URL', 'kafka://'],
		['LOG_URL', 'kafka://localhost'],
		['LOG_URL', 'kafka://a:9092?acks=1'],
		['LOG_URL', 'kafka://a:9092?tls=maybe'],
		['LOG_URL', 'kafka://a:9092?replication=0'],
		['DATABASE_URL', 'postgres://'],
		['DATABASE_URL', 'postgres://host'],
		['DATABASE_URL', 'mysql://host/x'],
		['CLICKHOUSE_URL', 'tcp://h:9000'],
		['CLICKHOUSE_URL', 'http://h:8123/a/b'],
		['UPSTASH_REDIS_REST_URL', 'redis://h'],
		['OFFLINE_STORE_URL', 's3://B'],
		['EDGE_URL', 'http://h/path'],
		['AUTH_ISSUER', 'surgecast-service'],
		['AUTH_AUDIENCE', 'two words'],
		['AUTH_JWKS_URL', 'ftp://x'],
		['LATENESS_SECONDS', '-1'],
		['PUSH_INTERVAL_MS', '0'],
		['RATE_LIMIT_PRICES_PER_10S', '0'],
		['RATE_LIMIT_EVENTS_PER_MINUTE', '1.5'],
	])('refuses %s=%s with its name, its value and what is wanted', (name, value) => {
		const message = fault({ [name]: value });
		expect(message).toContain(`${name} is ${JSON.stringify(value)}, wanted: `);
	});

	it('takes ClickHouse, Redis and a bucket by their URLs', () => {
		const { clickhouse, redis, offlineStore } = parseConfiguration({
			CLICKHOUSE_URL: 'https://me:p%40ss@h:8443/fares',
			UPSTASH_REDIS_REST_URL: 'https://x.upstash.io',
			UPSTASH_REDIS_REST_TOKEN: 'hush',
			OFFLINE_STORE_URL: 's3://bucket/some/where?endpoint=http://127.0.0.1:9000',
			AWS_ACCESS_KEY_ID: 'id',
			AWS_SECRET_ACCESS_KEY: 'hush',
		});
		expect({ clickhouse, redis, offlineStore }).toEqual({
			clickhouse: { url: 'https://h:8443', username: 'me', password: 'p@ss', database: 'fares' },
			redis: { url: 'https://x.upstash.io', token: 'hush' },
			offlineStore: {
				endpoint: 'http://127.0.0.1:9000',
				bucket: 'bucket',
				prefix: 'some/where/',
				region: 'us-east-1',
				accessKeyId: 'id',
				secretAccessKey: 'hush',
			},
		});
		expect(parseConfiguration({ CLICKHOUSE_URL: 'http://h:8123' }).clickhouse).toEqual({
			url: 'http://h:8123',
			username: 'default',
			password: '',
			database: 'default',
		});
	});

	it('finds the other doors where it is told, else on this machine', () => {
		const doors = ({ edgeUrl, ingestUrl }: Configuration) => [edgeUrl, ingestUrl];
		expect(doors(parseConfiguration({ HOST: '0.0.0.0', EDGE_PORT: '1' }))).toEqual(['http://127.0.0.1:1', 'http://127.0.0.1:8789']);
		expect(doors(parseConfiguration({ EDGE_URL: 'https://edge.example', INGEST_URL: 'http://ingest:8789/' }))).toEqual([
			'https://edge.example',
			'http://ingest:8789',
		]);
	});

	it('wants both parts of Redis, and the keys of a bucket', () => {
		expect(fault({ UPSTASH_REDIS_REST_URL: 'https://x.upstash.io' })).toContain('UPSTASH_REDIS_REST_TOKEN is unset');
		expect(fault({ OFFLINE_STORE_URL: 's3://bucket' })).toContain('AWS_ACCESS_KEY_ID');
	});

	it('takes servers by their URLs', () => {
		const { kafka, database, logPath } = parseConfiguration({
			LOG_URL: 'kafka://me:p%40ss@a:9092,b:9093?tls=true&replication=3',
			DATABASE_URL: 'postgres://u:p@h/d',
		});
		const sasl = { mechanism: 'scram-sha-256', username: 'me', password: 'p@ss' };
		expect({ kafka, database, logPath }).toEqual({
			kafka: { brokers: ['a:9092', 'b:9093'], tls: true, sasl, replication: 3 },
			database: 'postgres://u:p@h/d',
			logPath: null,
		});
	});

	it('names all faults at once, and no secret', () => {
		const urls = { LOG_URL: 'kafka://me:hush@a', DATABASE_URL: 'postgres://me:hush@h' };
		const message = fault({ EDGE_PORT: 'x', PARTITIONS: 'y', UPSTASH_REDIS_REST_TOKEN: 'hu sh', ...urls });
		expect(message).toContain('EDGE_PORT');
		expect(message).toContain('PARTITIONS');
		expect(message).not.toMatch(/hu ?sh/);
	});

	it('wants an issuer with its keys, both or neither', () => {
		expect(fault({ AUTH_ISSUER: 'https://issuer.example' })).toContain('AUTH_JWKS_URL is unset');
		expect(fault({ AUTH_JWKS_URL: 'https://issuer.example/jwks' })).toContain('AUTH_ISSUER is unset');
	});
});
