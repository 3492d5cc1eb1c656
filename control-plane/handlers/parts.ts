import type { Analytics } from '../analytics.ts';
import type { Caller } from '../authenticate.ts';
import type { Connection } from '../database/database.ts';
import type { Edge } from '../edge.ts';
import type { Author, Publishing } from '../publishing.ts';
import type { Reconciler } from '../reconcile.ts';

/** What the handlers work with. */
export interface Parts {
	connection: Connection;
	edge: Edge;
	publishing: Publishing;
	reconciler: Pick<Reconciler, 'soon' | 'behind'>;
	/** The history in ClickHouse; null or left out where there is none. */
	analytics?: Analytics | null;
	partitions: number;
	/** The deployment clock, milliseconds since 1970. */
	clock: () => number;
}

/** Who makes the change of this call, for release and config change alike. Stamped by the wall clock. */
export function authorOf({ caller, method, path }: { caller: Caller; method: string; path: string }): Author {
	return { at: Date.now(), who: caller.subject, what: `${method} ${path}` };
}

/** A number in a path, as we write it; null for anything else, which then is of nothing that exists. */
export function numberOf(text: string): number | null {
	return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : null;
}
