/** Something behind does not answer now: the caller should try again later (503). The message is shown to the caller. */
export class UnavailableError extends Error {
	override readonly name = 'UnavailableError';
}
