import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { bundle, folder } from './bundle.ts';

it('the price Worker cannot read Redis: its bundle does not have the client, which the Shard has', async () => {
	await Promise.all([bundle('price'), bundle('shard')]);
	const [price, shard] = (['price', 'shard'] as const).map((script) => readFileSync(join(folder(script), 'worker.js'), 'utf8'));
	expect(price).not.toMatch(/upstash/i);
	expect(shard).toMatch(/upstash/i);
}, 60_000);
