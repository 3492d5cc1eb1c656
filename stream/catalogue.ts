import type { Region } from '#schemas/region.ts';

/** The control plane's database does not answer: what the catalogue has may be old. */
export class CatalogueUnavailable extends Error {}

/** The regions as the stream knows them: read from the control plane's database, again when something is missing. */
export interface Catalogue {
	get(regionId: string): Region | undefined;
	all(): Iterable<Region>;
	/** Reads what changed before this call. Calls close together share a reading that begins after them. @throws CatalogueUnavailable */
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
	let next: Promise<void> | undefined;
	let timer: NodeJS.Timeout | undefined;
	async function read(): Promise<void> {
		let entries: Region[];
		try {
			entries = await load();
		} catch (error) {
			throw new CatalogueUnavailable(`The catalogue cannot be read: ${error instanceof Error ? error.message : error}`);
		}
		for (const entry of entries) if (entry.version > (regions.get(entry.region_id)?.version ?? 0)) regions.set(entry.region_id, entry);
	}
	function begin(): Promise<void> {
		next = undefined;
		const begun = read().finally(() => {
			if (reading === begun) reading = undefined;
		});
		reading = begun;
		return begun;
	}
	// A reading that is under way may have begun before the entry that is looked for was there.
	const refresh = (): Promise<void> => {
		if (!reading) return begin();
		next ??= reading.catch(() => undefined).then(begin);
		return next;
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
