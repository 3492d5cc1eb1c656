import { limits } from '#schemas/limits.ts';
import { countBefore, type Dated, insert } from './history.ts';

/** A city event as it was announced; announced again under the same name it replaces itself. */
export interface Announcement extends Dated {
	name: string;
	starts_at: number;
	ends_at: number;
}

export function announce(announcements: Announcement[], announcement: Announcement): void {
	insert(announcements, announcement);
	if (announcements.length > limits.city_events_max) announcements.shift();
}

/** How many city events run at this instant, by what was announced before it. */
export function runningAt(announcements: readonly Announcement[], at: number): number {
	if (announcements.length === 0) return 0;
	const seen = new Set<string>();
	let running = 0;
	for (let i = countBefore(announcements, at) - 1; i >= 0; i--) {
		const { name, starts_at, ends_at } = announcements[i]!;
		if (seen.has(name)) continue;
		seen.add(name);
		if (starts_at <= at && at < ends_at) running++;
	}
	return running;
}

/** Forgets what no instant from `horizon` on can ask for: replaced before it, or over. */
export function settleAnnouncements(announcements: Announcement[], horizon: number): void {
	const settled = countBefore(announcements, horizon);
	if (settled === 0) return;
	const seen = new Set<string>();
	const kept: Announcement[] = [];
	for (let i = settled - 1; i >= 0; i--) {
		const announcement = announcements[i]!;
		if (seen.has(announcement.name)) continue;
		seen.add(announcement.name);
		if (announcement.ends_at > horizon) kept.push(announcement);
	}
	announcements.splice(0, settled, ...kept.reverse());
}
