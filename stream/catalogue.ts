import type { Region } from '#schemas/region.ts';

/** The regions as the stream knows them: read from the control plane's database, again when something is missing. */
export interface Catalogue {
	get(regionId: string): Region | undefined;
	all(): Iterable<Region>;
	/** Reads what changed. Calls close together share one reading. */
	refresh(): Promise<void>;
	/** Reads every second until stopped, so that a changed entry is known within two. */
	start(): void;
	stop(): void;
}

const EVERY_MS = 1000;

/** @param load every entry (or those changed since the last call). */
export function openCatalogue(load: () => Promise<Region[]>): Catalogue {
	const regions = new Map<string, Region>();
	let reading: Promise<void> | undefined;
	let timer: NodeJS.Timeout | undefined;
	const refresh = (): Promise<void> => {
		reading ??= load()
			.then((entries) => {
				for (const entry of entries) if (entry.version > (regions.get(entry.region_id)?.version ?? 0)) regions.set(entry.region_id, entry);
			})
			.finally(() => {
				reading = undefined;
			});
		return reading;
	};
	return {
		get: (regionId) => regions.get(regionId),
		all: () => regions.values(),
		refresh,
		start() {
			const again = () => {
				timer = setTimeout(
					() =>
						void refresh()
							.catch(() => undefined)
							.finally(() => timer && again()),
					EVERY_MS,
				); // the next reading says it again
				timer.unref();
			};
			again();
		},
		stop() {
			clearTimeout(timer);
			timer = undefined;
		},
	};
}
