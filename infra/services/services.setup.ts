import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startKafka } from './kafka.ts';
import { startPostgres } from './postgres.ts';
import type { Service } from './service.ts';

declare module 'vitest' {
	export interface ProvidedContext {
		kafka: string;
		postgres: string;
	}
}

/** Takes each server from the environment, or starts it, says which it is, and ends what it started. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-services-'));
	chmodSync(directory, 0o755); // PostgreSQL refuses to run as root, and its own user must get in
	const started: Service[] = [];
	const take = async (name: 'kafka' | 'postgres', variable: string, start: (directory: string) => Promise<Service>): Promise<void> => {
		const given = process.env[variable];
		if (given) console.log(`${name}: ${variable} of the environment`);
		else {
			const service = await start(join(directory, name));
			started.push(service);
			console.log(`${name}: ${service.version}, started here`);
		}
		project.provide(name, given ?? started.at(-1)!.url);
	};
	await take('kafka', 'TEST_KAFKA_URL', startKafka);
	await take('postgres', 'TEST_POSTGRES_URL', startPostgres);
	process.env['TEST_DATABASE_URL'] = started.find(({ url }) => url.startsWith('postgres'))?.url ?? process.env['TEST_POSTGRES_URL'];
	return async () => {
		for (const service of started) await service.stop();
		rmSync(directory, { recursive: true, force: true });
	};
}
