// npm run test:services: what needs a real Kafka, PostgreSQL and Redis. The global setups start those whose URLs the environment does not give.
import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

/** The suites of the database, which run on whatever database there is. */
const databaseSuites = ['stream/log/database-checkpoints.test.ts', 'control-plane/database/*.test.ts', 'control-plane/{decisions,retention}.test.ts'];

export default defineConfig({
	root: resolve(import.meta.dirname, '../..'),
	test: {
		environment: 'node',
		testTimeout: 60_000,
		hookTimeout: 180_000,
		projects: [
			{
				extends: true,
				test: {
					name: 'services',
					include: [
						'{control-plane,stream,infra}/**/*.services.ts',
						...databaseSuites,
						'control-plane/{control-plane,publishing,readiness,rule-set-faults}.test.ts',
					],
					globalSetup: './infra/services/services.setup.ts',
					fileParallelism: false,
				},
			},
			{
				// What the driver of Neon could do otherwise than that of PostgreSQL: the same server, through WebSockets.
				extends: true,
				test: {
					name: 'neon',
					include: databaseSuites,
					env: { TEST_DATABASE_DRIVER: 'neon' },
					globalSetup: './infra/services/neon.setup.ts',
					fileParallelism: false,
					sequence: { groupOrder: 1 },
				},
			},
		],
	},
});
