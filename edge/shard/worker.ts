import type { ShardEnvironment } from './environment.ts';
import { internal } from './internal.ts';

export { Outbox } from './outbox.ts';
export { Shard } from './shard.ts';

/** Reached through the price Worker's service binding only. */
export default {
	fetch: (request, env) =>
		internal(request, env).catch((error) => {
			console.error(JSON.stringify({ message: 'internal door failed', error: error instanceof Error ? (error.stack ?? error.message) : String(error) }));
			return new Response('{"title":"Internal error","status":500}', { status: 500, headers: { 'content-type': 'application/problem+json' } });
		}),
} satisfies ExportedHandler<ShardEnvironment>;
