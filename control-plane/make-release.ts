import type { Release } from '#schemas/release.ts';
import type { Connection } from './database/database.ts';
import { insertRelease, type StoredRelease } from './database/releases.ts';
import { type Keys, signText } from './keys.ts';

/**
 * Signs a release's content as the control plane and writes it. In a transaction that holds `lockConfiguration`: the number was read under it.
 * What was signed is kept word for word, since a Shard may ask for it years later.
 */
export async function makeRelease(
	transaction: Connection,
	{ keys, at, ...parts }: Pick<Release, 'release' | 'rule_sets' | 'models' | 'created_at' | 'created_by'> & { keys: Keys; at: number },
): Promise<StoredRelease> {
	const content: Release = { ...parts, experiments: [] };
	const text = JSON.stringify(content);
	const jws = await signText(keys, { kind: 'control-plane', text });
	await insertRelease(transaction, { content, text, jws, at });
	return { content, jws };
}
