/** One JSON line to stderr. For the operators' eyes only: nothing of it is ever answered. */
export function logLine(level: 'info' | 'warn' | 'error', fields: { what: string; [field: string]: unknown }): void {
	process.stderr.write(`${JSON.stringify({ at: new Date().toISOString(), level, ...fields })}\n`);
}

/** An error as a field of a log line, with its causes. */
export function errorText(error: unknown): string {
	if (!(error instanceof Error)) return String(error);
	return error.cause === undefined ? (error.stack ?? error.message) : `${error.stack ?? error.message}\ncaused by ${errorText(error.cause)}`;
}
