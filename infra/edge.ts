// Both bundles in one child workerd, through Miniflare in this process.
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { logLine } from '#control-plane/log-line.ts';
import { bundle, scripts } from './bundle.ts';
import type { EdgeBindings } from './edge-bindings.ts';
import { watchEdge } from './watch-edge.ts';
import { worker } from './worker.ts';

export interface RunningEdge {
	url: string;
	/** Lines about the bundles. */
	bundles: string[];
	close(): Promise<void>;
}

/** Lets the edge hand its last decisions to the Outboxes, which keep them on the disk: what ingestion does not take any more goes at the next start. */
export async function drainEdge(url: string, token: () => Promise<string>): Promise<void> {
	await fetch(`${url}/internal/drain`, {
		method: 'POST',
		headers: { authorization: `Bearer ${await token()}` },
		signal: AbortSignal.timeout(2000),
	}).catch((error) => logLine('warn', { what: 'The edge was not drained', error: String(error) }));
}

/**
 * Bundles the edge as it would be deployed and runs it. Objects and KV are kept in `directory`. A workerd that dies is started again, at once and on the
 * same port (Miniflare does that); one that does not come back is told by `onLost`. Register your own signal handlers before: Miniflare's, which would
 * exit at once, are removed here.
 */
export async function startEdge(options: {
	directory: string;
	host: string;
	port: number;
	bindings: EdgeBindings;
	onLost: (cause: string) => void;
}): Promise<RunningEdge> {
	const { directory, host, port, bindings, onLost } = options;
	const bundles = await Promise.all(scripts.map(bundle));
	mkdirSync(directory, { recursive: true });
	const pidFile = resolve(directory, `workerd.${process.pid}.pid`); // one a start: the guard of an earlier one may still be at work
	// workerd does not notice that its parent was killed with -9. This shell does: its input ends. It is there before workerd is.
	const kill = 'cat >/dev/null; [ -f "$0" ] && kill -9 "$(cat "$0")" 2>/dev/null; rm -f "$0"';
	const guard = spawn('sh', ['-c', kill, pidFile], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
	guard.unref();
	(guard.stdin as unknown as { unref(): void }).unref(); // a pipe is a socket, which Node's type does not say
	process.env['WORKERD_PID_FILE'] = pidFile;
	process.env['WORKERD_BINARY'] = createRequire(import.meta.url)('workerd').default;
	process.env['MINIFLARE_WORKERD_PATH'] = join(import.meta.dirname, 'workerd-with-pid.sh');
	const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
	const ours = new Map(signals.map((signal) => [signal, process.listeners(signal)]));
	const edge = new Miniflare(
		convertV4MiniflareOptions({
			host: '127.0.0.1',
			port: 0, // Miniflare's own entry worker: unused, about 0.2 ms of CPU per request dearer than the direct socket
			log: new Log(LogLevel.WARN),
			logRequests: false,
			cf: false,
			telemetry: { enabled: false },
			resourcePersistencePath: directory,
			workers: [{ ...worker('price', bindings.both), unsafeDirectSockets: [{ host, port }] }, worker('shard', { ...bindings.both, ...bindings.shard })], // the shard has no door of its own
		}),
	);
	for (const signal of signals)
		for (const listener of process.listeners(signal)) if (!ours.get(signal)?.includes(listener)) process.removeListener(signal, listener);
	await edge.ready;
	const url = `http://${host}:${port}`;
	const unwatch = watchEdge(url, onLost);
	return {
		url,
		bundles,
		async close() {
			unwatch();
			await edge.dispose();
			rmSync(pidFile, { force: true }); // before the guard sees our end: that pid may be another's by then
			guard.stdin.end();
		},
	};
}
