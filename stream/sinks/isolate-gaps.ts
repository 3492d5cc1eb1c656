import { limits } from '#schemas/limits.ts';

/**
 * Which sequence numbers of each isolate are missing: decisions that never reached an Outbox, or that come later by another one. The first number
 * seen of an isolate is no gap; one that comes twice counts once.
 */
export class IsolateGaps {
	readonly #isolates = new Map<string, { greatest: number; missing: Set<number> }>();
	#count = 0;

	/** How many are missing now. */
	get count(): number {
		return this.#count;
	}

	see(isolate: string, sequence: number): void {
		const known = this.#isolates.get(isolate);
		if (!known) {
			this.#isolates.set(isolate, { greatest: sequence, missing: new Set() });
			// The oldest goes; what it misses stays counted.
			if (this.#isolates.size > limits.isolates_max) this.#isolates.delete(this.#isolates.keys().next().value ?? '');
			return;
		}
		if (sequence <= known.greatest) {
			if (known.missing.delete(sequence)) this.#count -= 1;
			return;
		}
		this.#count += sequence - known.greatest - 1;
		for (let at = known.greatest + 1; at < sequence && known.missing.size < limits.isolate_missing_max; at++) known.missing.add(at);
		known.greatest = sequence;
	}
}
