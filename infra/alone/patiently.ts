import { logLine } from '#control-plane/log-line.ts';
import { UnavailableError } from '#control-plane/unavailable-error.ts';
import { limits } from '#schemas/limits.ts';
import { causeOf } from '#stream/cause-of.ts';
import { LogUnavailable } from '#stream/log/event-log.ts';

/** What a server says, or its absence, while it is still starting. */
const AWAY = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', '57P03', '57P01']);

function isAway(error: unknown): boolean {
	for (let inner = error; inner instanceof Error; inner = inner.cause)
		if (inner instanceof LogUnavailable || inner instanceof UnavailableError || AWAY.has((inner as NodeJS.ErrnoException).code ?? '')) return true;
	return false;
}

/** Opens what may still be starting, as servers of one deployment do together: tries for limits.start_wait_ms. @throws the last failure; at once what waiting does not mend. */
export async function patiently<T>(what: string, open: () => Promise<T>): Promise<T> {
	const deadline = Date.now() + limits.start_wait_ms;
	for (let told = false; ; told = true) {
		try {
			return await open();
		} catch (error) {
			if (!isAway(error) || Date.now() > deadline) throw error;
			if (!told) logLine('warn', { what: `Waiting for ${what}`, cause: causeOf(error) });
			await new Promise((resolve) => setTimeout(resolve, limits.start_retry_ms));
		}
	}
}
