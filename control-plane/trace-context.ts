import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';

const current = new AsyncLocalStorage<string>();

/** Runs the work of a request under its trace id. */
export function withTrace<T>(traceId: string, work: () => T): T {
	return current.run(traceId, work);
}

/** The traceparent header for a call that belongs to the request at hand; a trace of its own outside of any. */
export function traceparent(): string {
	return `00-${current.getStore() ?? randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;
}
