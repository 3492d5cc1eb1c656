import { eq } from 'drizzle-orm';
import type { Connection } from './database.ts';
import { deployment } from './schema.ts';

/** The kind of clock that this deployment's events are of: `kind`, if nothing was settled before. Real time and a replayed city must not mix in one fold. */
export async function settleClockKind(connection: Connection, kind: string): Promise<string> {
	await connection.insert(deployment).values({ name: 'clock', value: kind }).onConflictDoNothing();
	const [row] = await connection.select({ value: deployment.value }).from(deployment).where(eq(deployment.name, 'clock'));
	return row?.value ?? kind;
}
