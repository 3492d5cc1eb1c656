/**
 * Keeps calls away from what fails: after `failures_max` failures in a row it is open, and lets one call through each time that `open_ms` have passed.
 * A call that was let through must tell how it went. Time is given by its caller, in milliseconds of a clock that never goes back.
 */
export class Breaker {
	readonly #failuresMax: number;
	readonly #openMs: number;
	#failures = 0;
	#openUntil = 0;
	#probing = false;

	constructor(options: { failures_max: number; open_ms: number }) {
		this.#failuresMax = options.failures_max;
		this.#openMs = options.open_ms;
	}

	/** Whether calls are kept away, but for a probe now and then. */
	get open(): boolean {
		return this.#failures >= this.#failuresMax;
	}

	/** Whether a call may go at `now`. While open the one that may is the probe, and no other goes beside it. */
	enter(now: number): boolean {
		if (!this.open) return true;
		if (this.#probing || now < this.#openUntil) return false;
		this.#probing = true;
		return true;
	}

	succeeded(): void {
		this.#failures = 0;
		this.#probing = false;
	}

	failed(now: number): void {
		this.#failures += 1;
		this.#probing = false;
		if (this.open) this.#openUntil = now + this.#openMs;
	}
}
