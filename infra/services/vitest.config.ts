// npm run test:services: what needs a real Kafka, PostgreSQL and Redis. The global setup starts those whose URLs the environment does not give.
import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

const databaseSuites = [
	'stream/log/database-checkpoints.test.ts',
	'control-plane/{control-plane,decisions,publishing,readiness,retention,rule-set-faults}.test.ts',
];

export default defineConfig({
	root: resolve(import.meta.dirname, '../..'),
	test: {
		name: 'services',
		// Beside tests of their own: the suites of the database, which run on whatever database there is.
		include: ['{control-plane,stream,infra}/**/*.services.ts', ...databaseSuites],
		globalSetup: './infra/services/services.setup.ts',
		environment: 'node',
		testTimeout: 60_000,
		hookTimeout: 180_000,
		fileParallelism: false,
	},
});
