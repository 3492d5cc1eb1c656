import { readFileSync } from 'node:fs';
import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';
import { testBindings } from './infra/test/bindings.ts';
import { fakeIngestion } from './infra/test/fake-ingestion.ts';
import { worker } from './infra/worker.ts';

const TEST_MODEL = readFileSync('./edge/shard/testmodel.onnx').toString('base64');

export default defineConfig({
	test: {
		projects: [
			{
				test: {
					name: 'node',
					include: ['{schemas,models,control-plane,stream,infra}/**/*.test.ts'],
					exclude: ['**/*.e2e.test.ts', '**/node_modules/**'],
					environment: 'node',
					testTimeout: 30_000,
				},
			},
			{
				// Whole flows with real processes: after all others, one file at a time.
				test: { name: 'product', include: ['infra/**/*.e2e.test.ts'], testTimeout: 60_000, fileParallelism: false, sequence: { groupOrder: 1 } },
			},
			{
				// The sources of the shard script, its objects under the test's hands.
				plugins: [cloudflareTest({ wrangler: { configPath: './edge/shard/wrangler.toml' }, miniflare: { bindings: { ...testBindings, TEST_MODEL } } })],
				test: { name: 'shard', include: ['edge/shard/**/*.test.ts'], testTimeout: 30_000 }, // Vite hands the .wasm over in 5 to 10 s, once a file
			},
			{
				// The sources of the price script; the shard script beside it, as built by the global setup (so: a function, called after it).
				plugins: [
					cloudflareTest(() => ({
						wrangler: { configPath: './wrangler.toml' },
						miniflare: {
							bindings: testBindings,
							// Whatever leaves either script goes to a fake ingestion, which shows it to the tests.
							serviceBindings: { INGESTION: fakeIngestion.name },
							outboundService: fakeIngestion.name,
							workers: [{ ...worker('shard', testBindings), outboundService: fakeIngestion.name }, fakeIngestion],
						},
					})),
				],
				test: { name: 'price', include: ['edge/price/**/*.test.ts'], globalSetup: './infra/test/bundle-shard.setup.ts', testTimeout: 30_000 },
			},
		],
	},
});
