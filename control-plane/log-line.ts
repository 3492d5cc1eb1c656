import { UnavailableError } from './unavailable-error.ts';

/** One JSON line to stderr. For the operators' eyes only: nothing of it is ever answered. */
export function logLine(level: 'info' | 'warn' | 'error', fields: { what: string; [field: string]: unknown }): void {
	process.stderr.write(`${JSON.stringify({ at: new Date().toISOString(), level, ...fields })}\n`);
}

/** An error as a field of a log line, with its causes. What does not answer is no defect: its words say all, and a stack would bury them. */
export function errorText(error: unknown): string {
	if (error instanceof UnavailableError) return `${error.message}${causes(error.cause)}`;
	if (!(error instanceof Error)) return String(error);
	const text = error.stack ?? error.message;
	return error.cause === undefined ? text : `${text}\ncaused by ${errorText(error.cause)}`;
}

function causes(cause: unknown): string {
	if (cause === undefined) return '';
	return cause instanceof Error ? ` (${cause.message}${causes(cause.cause)})` : ` (${String(cause)})`;
}
