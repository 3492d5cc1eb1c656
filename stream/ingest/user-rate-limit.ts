import { limits } from '#schemas/limits.ts';

const WINDOW_MS = 60_000;

/** Whether a user may send one more event in this minute (fixed windows of the wall clock, per process). */
export function userRateLimit(eventsPerMinute: number): (userId: string) => boolean {
	let window = 0;
	let used = new Map<string, number>();
	return (userId) => {
		const current = Math.floor(Date.now() / WINDOW_MS);
		if (current !== window || used.size >= limits.door_ids_max) {
			window = current;
			used = new Map();
		}
		const count = used.get(userId) ?? 0;
		if (count >= eventsPerMinute) return false;
		used.set(userId, count + 1);
		return true;
	};
}
