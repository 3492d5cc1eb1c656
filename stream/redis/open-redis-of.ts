import type { Configuration } from '#control-plane/configuration.ts';
import { logLine } from '#control-plane/log-line.ts';
import type { Metrics } from '#control-plane/metrics.ts';
import type { Clock } from '../clock.ts';
import { countGauges } from '../count-gauges.ts';
import { openRedis, type RedisClient } from './redis-client.ts';

/** The Redis of a process, one for all that it does there; undefined where none is configured, and on a city's clock: what Redis keeps for a minute or a day is of now. */
export function openRedisOf(configuration: Configuration, { clock, metrics }: { clock: Clock; metrics: Metrics }): RedisClient | undefined {
	if (!configuration.redis || clock.virtual) return undefined;
	const redis = openRedis({ ...configuration.redis, onTrouble: (text) => logLine('warn', { what: text }) });
	countGauges(metrics, 'redis', { title: 'Calls of Redis', counts: redis.counts });
	metrics.gauge('surgecast_redis_open', { help: '1 while the breaker keeps calls of Redis back', read: () => Number(redis.open()) });
	return redis;
}
