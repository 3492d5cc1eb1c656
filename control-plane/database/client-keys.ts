import { desc } from 'drizzle-orm';
import type { JSONWebKeySet } from 'jose';
import type { ClientKeys } from '#schemas/release.ts';
import { type Connection, lockConfiguration } from './database.ts';
import { clientKeys } from './schema.ts';

const toKeys = ({ jwks, ...row }: typeof clientKeys.$inferSelect): ClientKeys => ({ ...row, jwks: JSON.parse(jwks) as ClientKeys['jwks'] });

/** The clients' keys with the greatest version; undefined before the first. */
export async function readClientKeys(connection: Connection): Promise<ClientKeys | undefined> {
	const [row] = await connection.select().from(clientKeys).orderBy(desc(clientKeys.version)).limit(1);
	return row && toKeys(row);
}

/** The clients' keys as they are now, under a version that grows when they differ from those kept before. */
export async function keepClientKeys(
	connection: Connection,
	{ issuer, audience, jwks }: { issuer: string; audience: string; jwks: JSONWebKeySet },
): Promise<ClientKeys> {
	const text = JSON.stringify(jwks);
	return connection.transaction(async (transaction) => {
		await lockConfiguration(transaction);
		const [last] = await transaction.select().from(clientKeys).orderBy(desc(clientKeys.version)).limit(1);
		if (last && last.issuer === issuer && last.audience === audience && last.jwks === text) return toKeys(last);
		const row = { version: (last?.version ?? 0) + 1, issuer, audience, jwks: text };
		await transaction.insert(clientKeys).values(row);
		return toKeys(row);
	});
}
