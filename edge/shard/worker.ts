import type { ShardEnvironment } from './environment.ts';
import { internal } from './internal.ts';

export { Outbox } from './outbox.ts';
export { Shard } from './shard.ts';

/** Reached through the price Worker's service binding only. */
export default { fetch: internal } satisfies ExportedHandler<ShardEnvironment>;
