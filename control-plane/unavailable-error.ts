/** Something behind does not answer now: the caller should try again later (503). The message is shown to the caller. */
export class UnavailableError extends Error {
	override readonly name = 'UnavailableError';
}

/** The UnavailableError that an error is or was caused by: libraries wrap what their driver throws. */
export function unavailableIn(error: unknown): UnavailableError | undefined {
	for (let inner = error; inner instanceof Error; inner = inner.cause) if (inner instanceof UnavailableError) return inner;
	return undefined;
}
