import type { controlPlaneInternalRoutes } from '#schemas/control-plane-routes.ts';
import { readCurrentRelease } from '../database/releases.ts';
import type { Handlers } from '../door.ts';
import { errorText, logLine } from '../log-line.ts';
import { replayDecisions } from '../replay.ts';
import type { Parts } from './parts.ts';

/** Lets a command replay decisions while this process holds the database. */
export function replayHandlers({ connection }: Pick<Parts, 'connection'>): Handlers<typeof controlPlaneInternalRoutes> {
	return {
		'GET /internal/replay-decisions': async ({ query: { from, to }, traceId }) => {
			await readCurrentRelease(connection); // a database that is away is a 503 here, and a broken stream behind the 200
			const encoder = new TextEncoder();
			const lines = new ReadableStream<Uint8Array>({
				async start(controller) {
					const write = (line: object) => controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`));
					try {
						const report = await replayDecisions(connection, { from, to, onProgress: (soFar) => write({ done: false, ...soFar }) });
						write({ done: true, ...report });
						controller.close();
					} catch (error) {
						// Without a last line the reader knows that it is not the whole.
						logLine('error', { what: 'A replay of decisions failed', trace_id: traceId, error: errorText(error) });
						controller.error(new Error('The replay failed'));
					}
				},
			});
			return new Response(lines, { headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' } });
		},
	};
}
