import type { JSONWebKeySet } from 'jose';
import { limits } from '#schemas/limits.ts';
import type { Configuration } from './configuration.ts';
import { readClientKeys } from './database/client-keys.ts';
import type { Connection } from './database/database.ts';
import { type Keys, localJwks } from './keys.ts';
import { errorText, logLine } from './log-line.ts';
import { UnavailableError } from './unavailable-error.ts';

/**
 * The clients' keys for a process beside the control plane, which alone fetches them: read from its database, again every limits.jwks_refresh_ms.
 * @throws UnavailableError while the control plane has not fetched those of this issuer yet.
 */
export async function followClientKeys(connection: Connection, { auth, keys }: { auth: Configuration['auth']; keys: Keys }) {
	const read = async (): Promise<JSONWebKeySet> => {
		if (auth.jwksUrl === null) return localJwks(keys);
		const kept = await readClientKeys(connection);
		if (kept?.issuer !== auth.issuer || kept.audience !== auth.audience)
			throw new UnavailableError(`The control plane has not fetched the keys of issuer "${auth.issuer}" yet.`);
		return kept.jwks as JSONWebKeySet;
	};
	let jwks = await read();
	const again = async (): Promise<void> => {
		try {
			const now = await read();
			// The very set while nothing changed: a new one makes every token be verified anew.
			if (JSON.stringify(now) !== JSON.stringify(jwks)) jwks = now;
		} catch (error) {
			logLine('warn', { what: "The clients' keys could not be read; the last ones stay in force", error: errorText(error) });
		}
	};
	const timer = auth.jwksUrl === null ? undefined : setInterval(() => void again(), limits.jwks_refresh_ms).unref();
	return { jwks: () => jwks, stop: () => clearInterval(timer) };
}
