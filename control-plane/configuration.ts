import { resolve } from 'node:path';
import * as z from 'zod';
import { type KafkaPlace, kafkaPlace } from './kafka-place.ts';

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
	/** Absolute directory; null for the default inside the data directory. */
	offlineStoreDir: string | null;
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
/**
 * A place given as `<scheme>:<path>`: null when only the scheme is given; or a server. Drivers that do not exist yet are refused, never replaced in silence.
 */
const place = <T = never>(scheme: string, { later = [], server }: { later?: readonly string[]; server?: Server<T> }) =>
	z
		.string()
		.default(`${scheme}:`)
		.transform((text, ctx): string | null | { server: T } => {
			const prefix = `${scheme}:`;
			if (text.startsWith(prefix)) {
				const path = text.slice(prefix.length).replace(/^\/\/(?=\/)/, '');
				return path === '' ? null : resolve(path);
			}
			let message = [prefix, `${prefix}<path>`, ...(server ? [server.wanted] : [])].join(' or ');
			if (server?.schemes.test(text)) {
				try {
					return { server: server.read(text) };
				} catch (error) {
					message = (error as Error).message;
				}
			}
			if (later.some((other) => text.startsWith(other))) message += `; ${text.split(':')[0]}: is not available in this version`;
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

const pathOf = (given: string | null | { server: unknown }): string | null => (typeof given === 'string' ? given : null);
const serverOf = <T>(given: string | null | { server: T }): T | null => (typeof given === 'object' && given !== null ? given.server : null);

const absent = (name: string) =>
	z
		.string()
		.optional()
		.refine((value) => value === undefined, `unset: ${name} is not available in this version`);

const text = z
	.string()
	.max(256, 'up to 256 characters')
	.regex(/^[\x21-\x7e]+$/, 'printable characters without spaces');

const httpUrl = z.string().refine((value) => /^https?:\/\//.test(value) && URL.canParse(value), 'an http:// or https:// URL');

const environment = z
	.object({
		SURGECAST_DATA_DIR: z
			.string()
			.refine((value) => !value.includes('\0'), 'a path')
			.default('.surgecast'),
		HOST: text.default('127.0.0.1'),
		EDGE_PORT: port(8787),
		CONTROL_PLANE_PORT: port(8788),
		INGEST_PORT: port(8789),
		PARTITIONS: whole(1, 1024, 'a whole number from 1 to 1024').default(8),
		LOG_URL: place('file', { server: kafka }),
		DATABASE_URL: place('pglite', { server: postgres }),
		OFFLINE_STORE_URL: place('file', { later: ['s3:'] }),
		CLICKHOUSE_URL: absent('ClickHouse'),
		UPSTASH_REDIS_REST_URL: absent('Upstash Redis'),
		UPSTASH_REDIS_REST_TOKEN: absent('Upstash Redis'),
		AUTH_ISSUER: text.refine((value) => value !== SERVICE_ISSUER, `another name than ${SERVICE_ISSUER}, which is that of our own processes`).optional(),
		AUTH_AUDIENCE: text.default('surgecast'),
		AUTH_JWKS_URL: httpUrl.optional(),
		LATENESS_SECONDS: whole(0, 86_400, 'a whole number of seconds from 0 to 86400').default(600),
		PUSH_INTERVAL_MS: whole(1, 10_000, 'a whole number of milliseconds from 1 to 10000').default(100),
		RATE_LIMIT_PRICES_PER_10S: limit,
		RATE_LIMIT_EVENTS_PER_MINUTE: limit,
	})
	.superRefine((value, ctx) => {
		// An issuer without keys could verify nothing; keys under the local issuer's name would lock out `npm run token`.
		if (value.AUTH_JWKS_URL !== undefined && (value.AUTH_ISSUER ?? LOCAL_ISSUER) === LOCAL_ISSUER)
			ctx.addIssue({ code: 'custom', path: ['AUTH_ISSUER'], message: 'the issuer whose keys AUTH_JWKS_URL has' });
		if (value.AUTH_JWKS_URL === undefined && (value.AUTH_ISSUER ?? LOCAL_ISSUER) !== LOCAL_ISSUER)
			ctx.addIssue({ code: 'custom', path: ['AUTH_JWKS_URL'], message: `the URL of the keys of AUTH_ISSUER ${JSON.stringify(value.AUTH_ISSUER)}` });
	});

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
			const secret = variable.endsWith('_TOKEN');
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
		offlineStoreDir: pathOf(value.OFFLINE_STORE_URL),
		auth: { issuer: value.AUTH_ISSUER ?? LOCAL_ISSUER, audience: value.AUTH_AUDIENCE, jwksUrl: value.AUTH_JWKS_URL ?? null },
		latenessSeconds: value.LATENESS_SECONDS,
		pushIntervalMs: value.PUSH_INTERVAL_MS,
		rateLimitPricesPer10s: value.RATE_LIMIT_PRICES_PER_10S,
		rateLimitEventsPerMinute: value.RATE_LIMIT_EVENTS_PER_MINUTE,
	};
}
