import { formatInstant } from '#schemas/instant.ts';
import { readCurrentRelease } from './database/releases.ts';
import type { Readiness } from './door.ts';
import type { Parts } from './handlers/parts.ts';
import { errorText, logLine } from './log-line.ts';

/** Ready when the database answers and has a release; an edge that is behind is told beside it, since everything but the push works. */
export function createReadiness({ connection }: Pick<Parts, 'connection'>): Readiness {
	let silentSince: number | null = null;
	return async () => {
		try {
			const current = await readCurrentRelease(connection);
			silentSince = null;
			return current ? null : 'There is no release yet.';
		} catch (error) {
			if (silentSince === null) logLine('error', { what: 'The database does not answer', error: errorText(error) });
			silentSince ??= Date.now();
			return `The database does not answer, seen first at ${formatInstant(silentSince)}.`;
		}
	};
}
