import { limits } from '#schemas/limits.ts';

const WINDOW_MS = 10_000;
const used = new Map<string, { window: number; count: number }>();

/**
 * Counts `by` prices of a subject against its limit per 10 seconds (fixed windows, per isolate).
 * Returns the seconds to wait when that would pass the limit, else 0.
 */
export function rateLimit(subject: string, options: { by: number; per_10s: number }): number {
	const now = Date.now();
	const window = Math.floor(now / WINDOW_MS);
	const entry = used.get(subject);
	const count = entry?.window === window ? entry.count : 0;
	if (count + options.by > options.per_10s) return Math.max(1, Math.ceil(((window + 1) * WINDOW_MS - now) / 1000));
	if (!entry && used.size >= limits.tokens_verified_max) used.clear();
	used.set(subject, { window, count: count + options.by });
	return 0;
}
