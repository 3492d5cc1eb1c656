import { resolve } from 'node:path';
import * as z from 'zod';
import { type KafkaPlace, kafkaPlace } from './kafka-place.ts';
import { type S3Place, s3Place } from './s3-place.ts';

/** A start that cannot be: the message names every variable that is wrong, its value and what is wanted. */
export class ConfigurationError extends Error {
	override readonly name = 'ConfigurationError';
}

/** The whole product's environment, parsed once at start. */
export interface Configuration {
	/** Absolute. */
	dataDir: string;
	host: string;
	edgePort: number;
	controlPlanePort: number;
	ingestPort: number;
	partitions: number;
	/** Absolute path of the embedded log's file; null for its default inside the data directory. */
	logPath: string | null;
	/** The cluster that has the log instead; null for the embedded log. */
	kafka: KafkaPlace | null;
	/** Absolute directory of the embedded Postgres, or the URL of a server's database. */
	database: string;
	/** Absolute directory of the offline store, or the bucket that has it. */
	offlineStore: string | S3Place;
	/** Null: none. */
	clickhouse: ClickHousePlace | null;
	/** Null: none. */
	redis: { url: string; token: string } | null;
	/** Where the other processes find the edge and ingestion. */
	edgeUrl: string;
	ingestUrl: string;
	/** Of the door that a process without one of its own has for health and metrics; 0: any free one. */
	statusPort: number;
	/** Absolute path of the directory with the deployment's keys.json, which all of its processes share. */
	keysDir: string;
	auth: {
		issuer: string;
		audience: string;
		/** Null for the local issuer. */
		jwksUrl: string | null;
	};
	latenessSeconds: number;
	pushIntervalMs: number;
	rateLimitPricesPer10s: number | null;
	rateLimitEventsPerMinute: number | null;
}

/** A ClickHouse server by its HTTP door. */
export interface ClickHousePlace {
	/** Without user, password and path. */
	url: string;
	username: string;
	password: string;
	database: string;
}

export const LOCAL_ISSUER = 'surgecast-local';
export const SERVICE_ISSUER = 'surgecast-service';

const whole = (min: number, max: number, wanted: string) =>
	z
		.string()
		.regex(/^\d{1,15}$/, wanted)
		.transform(Number)
		.refine((value) => value >= min && value <= max, wanted);
const port = (standard: number) => whole(0, 65_535, 'a port number from 0 (any free one) to 65535').default(standard);
const limit = whole(1, 1_000_000_000, 'a whole number above 0, or unset for no limit').nullable().default(null);

/** A server that may stand in a place's stead. `read` throws an Error that says what is wrong, never with a password. */
interface Server<T> {
	schemes: RegExp;
	wanted: string;
	read: (url: string) => T;
}
/** A place given as `<scheme>:<path>`: null when only the scheme is given; or a server. */
const place = <T>(scheme: string, server: Server<T>) =>
	z
		.string()
		.default(`${scheme}:`)
		.transform((text, ctx): string | null | { server: T } => {
			const prefix = `${scheme}:`;
			if (text.startsWith(prefix)) {
				const path = text.slice(prefix.length).replace(/^\/\/(?=\/)/, '');
				return path === '' ? null : resolve(path);
			}
			let message = `${prefix} or ${prefix}<path> or ${server.wanted}`;
			if (server.schemes.test(text)) {
				try {
					return { server: server.read(text) };
				} catch (error) {
					message = (error as Error).message;
				}
			}
			ctx.issues.push({ code: 'custom', message, input: text });
			return z.NEVER;
		});

const kafka: Server<KafkaPlace> = { schemes: /^kafka:/, wanted: 'kafka://host:port,...', read: kafkaPlace };
const postgres: Server<string> = {
	schemes: /^postgres(ql)?:/,
	wanted: 'postgres://user:password@host:port/database',
	read(url) {
		if (!URL.canParse(url) || new URL(url).hostname === '' || new URL(url).pathname.length < 2) throw new Error(`the URL of a database, ${postgres.wanted}`);
		return url;
	},
};

const s3: Server<string> = { schemes: /^s3:/, wanted: 's3://bucket[/prefix]', read: (url) => url }; // read with the keys beside it, below

const pathOf = (given: string | null | { server: unknown }): string | null => (typeof given === 'string' ? given : null);
const serverOf = <T>(given: string | null | { server: T }): T | null => (typeof given === 'object' && given !== null ? given.server : null);

const text = z
	.string()
	.max(256, 'up to 256 characters')
	.regex(/^[\x21-\x7e]+$/, 'printable characters without spaces');

const httpUrl = z.string().refine((value) => /^https?:\/\//.test(value) && URL.canParse(value), 'an http:// or https:// URL');

/** A door of ours, for the other processes. */
const origin = httpUrl
	.refine((value) => URL.canParse(value) && new URL(value).pathname === '/' && new URL(value).search === '', 'an http:// or https:// URL without a path')
	.transform((value) => new URL(value).origin);

const clickhouse = z.string().transform((value, ctx): ClickHousePlace => {
	const parsed = /^https?:\/\//.test(value) && URL.canParse(value) ? new URL(value) : undefined;
	const database = parsed?.pathname.slice(1) ?? '';
	if (parsed?.search !== '' || !/^\w*$/.test(database)) {
		ctx.issues.push({ code: 'custom', message: 'http(s)://[user:password@]host:port[/database]', input: value });
		return z.NEVER;
	}
	const { username, password } = parsed;
	return {
		url: parsed.origin,
		username: username === '' ? 'default' : decodeURIComponent(username),
		password: decodeURIComponent(password),
		database: database === '' ? 'default' : database,
	};
});

const path = z.string().refine((value) => !value.includes('\0'), 'a path');

const environment = z
	.object({
		SURGECAST_DATA_DIR: path.default('.surgecast'),
		HOST: text.default('127.0.0.1'),
		EDGE_PORT: port(8787),
		CONTROL_PLANE_PORT: port(8788),
		INGEST_PORT: port(8789),
		PARTITIONS: whole(1, 1024, 'a whole number from 1 to 1024').default(8),
		LOG_URL: place('file', kafka),
		DATABASE_URL: place('pglite', postgres),
		OFFLINE_STORE_URL: place('file', s3),
		AWS_ACCESS_KEY_ID: z.string().optional(),
		AWS_SECRET_ACCESS_KEY: z.string().optional(),
		CLICKHOUSE_URL: clickhouse.optional(),
		UPSTASH_REDIS_REST_URL: httpUrl.optional(),
		UPSTASH_REDIS_REST_TOKEN: text.optional(),
		EDGE_URL: origin.optional(),
		INGEST_URL: origin.optional(),
		STATUS_PORT: port(0),
		KEYS_DIR: path.optional(),
		AUTH_ISSUER: text.refine((value) => value !== SERVICE_ISSUER, `another name than ${SERVICE_ISSUER}, which is that of our own processes`).optional(),
		AUTH_AUDIENCE: text.default('surgecast'),
		AUTH_JWKS_URL: httpUrl.optional(),
		LATENESS_SECONDS: whole(0, 86_400, 'a whole number of seconds from 0 to 86400').default(600),
		PUSH_INTERVAL_MS: whole(1, 10_000, 'a whole number of milliseconds from 1 to 10000').default(100),
		RATE_LIMIT_PRICES_PER_10S: limit,
		RATE_LIMIT_EVENTS_PER_MINUTE: limit,
	})
	.superRefine((value, ctx) => {
		if ((value.UPSTASH_REDIS_REST_URL === undefined) !== (value.UPSTASH_REDIS_REST_TOKEN === undefined)) {
			const missing = value.UPSTASH_REDIS_REST_URL === undefined ? 'UPSTASH_REDIS_REST_URL' : 'UPSTASH_REDIS_REST_TOKEN';
			ctx.addIssue({ code: 'custom', path: [missing], message: 'UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN, both or neither' });
		}
		try {
			offlineStoreOf(value);
		} catch (error) {
			ctx.addIssue({ code: 'custom', path: ['OFFLINE_STORE_URL'], message: (error as Error).message });
		}
		// An issuer without keys could verify nothing; keys under the local issuer's name would lock out `npm run token`.
		if (value.AUTH_JWKS_URL !== undefined && (value.AUTH_ISSUER ?? LOCAL_ISSUER) === LOCAL_ISSUER)
			ctx.addIssue({ code: 'custom', path: ['AUTH_ISSUER'], message: 'the issuer whose keys AUTH_JWKS_URL has' });
		if (value.AUTH_JWKS_URL === undefined && (value.AUTH_ISSUER ?? LOCAL_ISSUER) !== LOCAL_ISSUER)
			ctx.addIssue({ code: 'custom', path: ['AUTH_JWKS_URL'], message: `the URL of the keys of AUTH_ISSUER ${JSON.stringify(value.AUTH_ISSUER)}` });
	});

/** Where finals are kept for training. @throws Error that says what is wanted. */
function offlineStoreOf(value: {
	SURGECAST_DATA_DIR: string;
	OFFLINE_STORE_URL: string | null | { server: string };
	AWS_ACCESS_KEY_ID?: string | undefined;
	AWS_SECRET_ACCESS_KEY?: string | undefined;
}): string | S3Place {
	const bucket = serverOf(value.OFFLINE_STORE_URL);
	if (bucket !== null) return s3Place(bucket, { accessKeyId: value.AWS_ACCESS_KEY_ID, secretAccessKey: value.AWS_SECRET_ACCESS_KEY });
	return pathOf(value.OFFLINE_STORE_URL) ?? resolve(value.SURGECAST_DATA_DIR, 'offline');
}

/** Where a door of this host is found: one that listens on every address is found on this machine. */
const doorOf = (host: string, port: number): string => `http://${host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host}:${port}`;

/**
 * The configuration from the environment; an empty variable counts as unset.
 * @throws ConfigurationError that names every bad variable, its value and what is wanted.
 */
export function parseConfiguration(env: Readonly<Record<string, string | undefined>>): Configuration {
	const given = Object.fromEntries(Object.keys(environment.shape).map((name) => [name, env[name] === '' ? undefined : env[name]]));
	const parsed = environment.safeParse(given);
	if (!parsed.success) {
		const lines = parsed.error.issues.map(({ path, message }) => {
			const variable = String(path[0]);
			const secret = /_TOKEN$|^AWS_/.test(variable);
			const shown = given[variable]?.replace(/\/\/[^@/]*@/, '//(a secret)@');
			const value = shown === undefined ? 'unset' : secret ? '(a secret)' : JSON.stringify(shown.slice(0, 200));
			return `${variable} is ${value}, wanted: ${message}`;
		});
		throw new ConfigurationError(`Cannot start with this configuration:\n${[...new Set(lines)].map((line) => `  ${line}`).join('\n')}`);
	}
	const value = parsed.data;
	const dataDir = resolve(value.SURGECAST_DATA_DIR);
	return {
		dataDir,
		host: value.HOST,
		edgePort: value.EDGE_PORT,
		controlPlanePort: value.CONTROL_PLANE_PORT,
		ingestPort: value.INGEST_PORT,
		partitions: value.PARTITIONS,
		logPath: pathOf(value.LOG_URL),
		kafka: serverOf(value.LOG_URL),
		database: serverOf(value.DATABASE_URL) ?? pathOf(value.DATABASE_URL) ?? resolve(dataDir, 'database'),
		offlineStore: offlineStoreOf(value),
		clickhouse: value.CLICKHOUSE_URL ?? null,
		redis:
			value.UPSTASH_REDIS_REST_URL === undefined || value.UPSTASH_REDIS_REST_TOKEN === undefined
				? null
				: { url: value.UPSTASH_REDIS_REST_URL, token: value.UPSTASH_REDIS_REST_TOKEN },
		edgeUrl: value.EDGE_URL ?? doorOf(value.HOST, value.EDGE_PORT),
		ingestUrl: value.INGEST_URL ?? doorOf(value.HOST, value.INGEST_PORT),
		statusPort: value.STATUS_PORT,
		keysDir: resolve(value.KEYS_DIR ?? dataDir),
		auth: { issuer: value.AUTH_ISSUER ?? LOCAL_ISSUER, audience: value.AUTH_AUDIENCE, jwksUrl: value.AUTH_JWKS_URL ?? null },
		latenessSeconds: value.LATENESS_SECONDS,
		pushIntervalMs: value.PUSH_INTERVAL_MS,
		rateLimitPricesPer10s: value.RATE_LIMIT_PRICES_PER_10S,
		rateLimitEventsPerMinute: value.RATE_LIMIT_EVENTS_PER_MINUTE,
	};
}
