import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNeonBridge } from './neon-bridge.ts';
import { startPostgres } from './postgres.ts';

/** A Neon-shaped door in front of the PostgreSQL that the environment or services.setup.ts gave, or of one that is started here. For control-plane/test-database.ts. */
export default async function setup(): Promise<() => Promise<void>> {
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-neon-'));
	chmodSync(directory, 0o755); // PostgreSQL refuses to run as root, and its own user must get in
	const given = process.env['TEST_POSTGRES_URL'] ?? process.env['TEST_DATABASE_URL'];
	const own = given ? undefined : await startPostgres(join(directory, 'postgres'));
	const bridge = await startNeonBridge(given ?? own!.url);
	process.env['TEST_NEON_URL'] = bridge.url;
	process.env['TEST_NEON_BRIDGE'] = bridge.door;
	console.log(`neon: ${bridge.version}, started here`);
	return async () => {
		await bridge.stop();
		await own?.stop();
		rmSync(directory, { recursive: true, force: true });
	};
}
