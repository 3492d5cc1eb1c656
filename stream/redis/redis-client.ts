import { Redis } from '@upstash/redis';
import { type Behind, behind, type Failing, failing } from '#schemas/behind.ts';
import { limits } from '#schemas/limits.ts';
import { causeOf } from '../cause-of.ts';
import { Breaker } from './breaker.ts';

/** Redis as this product uses it: what it knows is welcome, and nothing waits for it or depends on it. */
export interface RedisClient {
	/** The values of these keys, in order, null where there is none (or none that is a string). Undefined: not known. */
	get(keys: readonly string[]): Promise<(string | null)[] | undefined>;
	/** Sets each for its seconds, in one request. True when Redis has them all; false: not known. */
	set(entries: readonly { key: string; value: string; seconds: number }[]): Promise<boolean>;
	/** A script with its keys and arguments; its answer, a number. Undefined: not known. */
	run(script: string, options: { keys: readonly string[]; args: readonly string[] }): Promise<number | undefined>;
	/** `asked`: calls that went; `failed`: those that failed or took too long; `skipped`: calls that the breaker kept back. */
	readonly counts: { asked: number; failed: number; skipped: number };
	/** Whether the breaker keeps calls back. */
	open(): boolean;
	/** Redis, while the breaker is open. */
	behind(): Behind[];
}

/** Why a call failed, for operators. The library's own words hold the whole command behind it, which may be long and is nobody's business. */
function words(error: unknown): string {
	if (error instanceof Error && error.name === 'TimeoutError') return `no answer within ${limits.redis_ms} ms`;
	const [cause = ''] = causeOf(error).split(', command was:');
	return cause;
}

/**
 * A client of Upstash's REST door. Every call makes one attempt and takes 50 ms at most (limits.redis_ms); it never throws, and says "not known" when Redis
 * is away, slow, refuses or answers nonsense. After five failures in a row nothing is sent for five seconds, then one call finds out how it is.
 * @param options.now a clock that never goes back, milliseconds.
 * @param options.onTrouble is told once when the breaker opens.
 */
export function openRedis(options: { url: string; token: string; now?: () => number; onTrouble?: (text: string) => void }): RedisClient {
	const { url, token, now = () => performance.now(), onTrouble = () => undefined } = options;
	const redis = new Redis({
		url,
		token,
		// A function: with a signal itself an aborted command resolves with null. Zero retries: `retry: false` would make two attempts.
		signal: () => AbortSignal.timeout(limits.redis_ms),
		retry: { retries: 0 },
		enableAutoPipelining: false,
		automaticDeserialization: false,
		enableTelemetry: false,
		readYourWrites: false,
	});
	const breaker = new Breaker({ failures_max: limits.redis_failures_max, open_ms: limits.redis_open_ms });
	const counts = { asked: 0, failed: 0, skipped: 0 };
	let trouble: Failing | undefined;

	async function ask<T>(call: () => Promise<T>): Promise<T | undefined> {
		if (!breaker.enter(now())) {
			counts.skipped += 1;
			return undefined;
		}
		counts.asked += 1;
		try {
			const answer = await call();
			breaker.succeeded();
			trouble = undefined;
			return answer;
		} catch (error) {
			const wasOpen = breaker.open;
			breaker.failed(now());
			counts.failed += 1;
			trouble = failing(trouble, { cause: words(error), now: Date.now() });
			if (breaker.open && !wasOpen) onTrouble(`Redis is left alone for a while, work goes on without it: ${trouble.cause}`);
			return undefined;
		}
	}

	return {
		counts,
		async get(keys) {
			if (keys.length === 0) return [];
			return ask(async () => {
				const values: unknown = await redis.mget([...keys]);
				if (!Array.isArray(values) || values.length !== keys.length)
					throw new Error(`Cannot read ${keys.length} keys: the answer is no list of as many values`);
				return values.map((value) => (typeof value === 'string' ? value : null));
			});
		},
		async set(entries) {
			if (entries.length === 0) return true;
			const pipeline = redis.pipeline();
			for (const { key, value, seconds } of entries) pipeline.set(key, value, { ex: seconds });
			const taken = await ask(async () => {
				const answers = await pipeline.exec<unknown[]>(); // throws at the first command that was refused
				if (answers.length !== entries.length) throw new Error(`Cannot write ${entries.length} keys: the answer has ${answers.length} parts`);
				return true;
			});
			return taken === true;
		},
		run: (script, { keys, args }) =>
			ask(async () => {
				const answer: unknown = await redis.eval(script, [...keys], [...args]);
				if (typeof answer !== 'number') throw new Error(`Cannot run a script on ${keys.length} keys: its answer is no number`);
				return answer;
			}),
		open: () => breaker.open,
		behind: () => (trouble && breaker.open ? [behind('Redis', trouble, Date.now())] : []),
	};
}
