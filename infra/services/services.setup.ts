import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startClickHouse } from './clickhouse.ts';
import { startKafka } from './kafka.ts';
import { startPostgres } from './postgres.ts';
import { startRedis } from './redis.ts';
import { startS3 } from './s3.ts';
import type { Service } from './service.ts';

/** The servers by name: the variable that gives its URL, else how it is started. */
const servers = {
	kafka: { variable: 'TEST_KAFKA_URL', start: startKafka },
	postgres: { variable: 'TEST_POSTGRES_URL', start: startPostgres },
	redis: { variable: 'TEST_REDIS_URL', start: startRedis },
	clickhouse: { variable: 'TEST_CLICKHOUSE_URL', start: startClickHouse },
	s3: { variable: 'TEST_S3_URL', start: startS3 },
} satisfies Record<string, { variable: string; start: (directory: string) => Promise<Service> }>;

declare module 'vitest' {
	export interface ProvidedContext extends Record<keyof typeof servers, string> {}
}

/** Takes each server from the environment, or starts it, says which it is, and ends what it started. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-services-'));
	chmodSync(directory, 0o755); // PostgreSQL refuses to run as root, and its own user must get in
	const started: Service[] = [];
	for (const [name, { variable, start }] of Object.entries(servers)) {
		const given = process.env[variable];
		if (given) console.log(`${name}: ${variable} of the environment`);
		else {
			const service = await start(join(directory, name));
			started.push(service);
			console.log(`${name}: ${service.version}, started here`);
		}
		const url = given ?? started.at(-1)!.url;
		project.provide(name as keyof typeof servers, url);
		if (name === 'postgres') process.env['TEST_DATABASE_URL'] = url;
	}
	return async () => {
		for (const service of started) await service.stop();
		rmSync(directory, { recursive: true, force: true });
	};
}
