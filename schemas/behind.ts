import { formatInstant } from './instant.ts';

/** Something behind a door that lags or fails while the door itself works, as GET /readyz lists it. */
export interface Behind {
	/** `features of partition 3`, `the store of decisions`, `KV`, ... */
	what: string;
	/** Since when, UTC. */
	since: string;
	seconds: number;
	cause: string;
}

/** Why something fails, and since when: wall clock, milliseconds. */
export interface Failing {
	since: number;
	cause: string;
}

/** As GET /readyz tells it. `now`: wall clock, milliseconds. */
export function behind(what: string, { since, cause }: Failing, now: number): Behind {
	return { what, since: formatInstant(since), seconds: Math.max(0, Math.round((now - since) / 1000)), cause };
}

/** The failure as it stands now: a new cause does not make it younger. */
export function failing(before: Failing | undefined, { cause, now }: { cause: string; now: number }): Failing {
	return { since: before?.since ?? now, cause };
}
