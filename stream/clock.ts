/** The deployment clock, milliseconds since 1970: the wall clock, or the city's under --replay. Every decision and every age uses it. */
export interface Clock {
	now(): number;
	/** The city's clock: its now travels with the frames. */
	readonly virtual: boolean;
}

export const wallClock: Clock = { now: () => Date.now(), virtual: false };

/** A clock that somebody sets; it never goes back. */
export function virtualClock(start: number): Clock & { set(now: number): void } {
	let current = start;
	return {
		virtual: true,
		now: () => current,
		set: (now) => {
			current = Math.max(current, now);
		},
	};
}
