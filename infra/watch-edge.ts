import { logLine } from '#control-plane/log-line.ts';
import { limits } from '#schemas/limits.ts';

/**
 * Asks the edge every second whether it lives, and says in the log when it stops answering and when it is back. Calls `onLost` once when it has not
 * answered for `limits.edge_lost_ms`. Returns how to end it.
 */
export function watchEdge(url: string, onLost: (cause: string) => void, options: { every_ms?: number; lost_ms?: number } = {}): () => void {
	const { every_ms = limits.edge_watch_ms, lost_ms = limits.edge_lost_ms } = options;
	let silentSince: number | undefined;
	let ended = false;
	let timer: NodeJS.Timeout | undefined;
	async function ask(): Promise<void> {
		const asked = performance.now();
		const cause = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(lost_ms / 2) }).then(
			async (answer) => {
				await answer.arrayBuffer();
				return answer.ok ? undefined : `it answers ${answer.status}`;
			},
			(error) => String(error.cause ?? error),
		);
		if (ended) return;
		if (cause === undefined) {
			if (silentSince !== undefined) logLine('info', { what: 'The edge answers again', after_ms: Math.round(performance.now() - silentSince) });
			silentSince = undefined;
		} else {
			if (silentSince === undefined) logLine('warn', { what: 'The edge does not answer', cause });
			silentSince ??= asked;
			if (performance.now() - silentSince >= lost_ms) {
				ended = true;
				onLost(cause);
				return;
			}
		}
		again();
	}
	function again(): void {
		timer = setTimeout(() => void ask(), every_ms).unref();
	}
	again();
	return () => {
		ended = true;
		clearTimeout(timer);
	};
}
