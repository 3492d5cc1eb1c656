import { limits } from '#schemas/limits.ts';

const { rate_limit_window_ms: window_ms } = limits;
/** Prices in the current window by subject, the first that came first. */
const used = new Map<string, number>();
let current = 0;

/**
 * Counts `by` prices of a subject against its limit per 10 seconds (fixed windows, per isolate).
 * Returns the seconds to wait when that would pass the limit, else 0.
 */
export function rateLimit(subject: string, options: { by: number; per_10s: number }): number {
	const now = Date.now();
	const window = Math.floor(now / window_ms);
	if (window !== current) {
		current = window;
		used.clear();
	}
	const count = (used.get(subject) ?? 0) + options.by;
	if (count > options.per_10s) return Math.max(1, Math.ceil(((window + 1) * window_ms - now) / 1000));
	if (used.size >= limits.rate_limit_subjects_max && !used.has(subject)) used.delete(used.keys().next().value ?? '');
	used.set(subject, count);
	return 0;
}
