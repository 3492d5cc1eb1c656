/** Resident bytes of every process by name, at whole minutes from 1 on. */
export type Minutes = readonly Readonly<Record<string, number>>[];

/** A process may hold so much more at the end than at half time; caches are full by then. */
export const GROWTH_MAX = 1.25;

/** Processes that hold more than GROWTH_MAX times of what they held at half time, in words. What is new since then has grown from nothing. */
export function growth(minutes: Minutes): string[] {
	const half = minutes[Math.ceil(minutes.length / 2) - 1] ?? {};
	const last = minutes.at(-1) ?? {};
	const mib = (bytes: number) => `${Math.round(bytes / 1024 / 1024)} MiB`;
	return Object.entries(last)
		.filter(([name, bytes]) => bytes > (half[name] ?? 0) * GROWTH_MAX)
		.map(([name, bytes]) => `${name} grew from ${mib(half[name] ?? 0)} at half time to ${mib(bytes)}`);
}
