import { type Behind, behind, type Failing, failing } from '#schemas/behind.ts';
import { limits } from '#schemas/limits.ts';
import type { Region } from '#schemas/region.ts';
import { causeOf } from './cause-of.ts';

/** The control plane's database does not answer: what the catalogue has may be old. */
export class CatalogueUnavailable extends Error {}

/** The regions as the stream knows them: read from the control plane's database, again when something is missing. */
export interface Catalogue {
	get(regionId: string): Region | undefined;
	all(): Iterable<Region>;
	/** Reads what changed before this call. Calls close together share a reading that begins after them. @throws CatalogueUnavailable */
	refresh(): Promise<void>;
	/** Whether the last reading failed: what it has may be old. */
	behind(): Behind[];
	/** Reads every second until stopped, so that a changed entry is known within two. */
	start(): void;
	stop(): void;
}

/** @param load every entry (or those changed since the last call). */
export function openCatalogue(load: () => Promise<Region[]>): Catalogue {
	const regions = new Map<string, Region>();
	let reading: Promise<void> | undefined;
	let next: Promise<void> | undefined;
	let timer: NodeJS.Timeout | undefined;
	let trouble: Failing | undefined;
	async function read(): Promise<void> {
		let entries: Region[];
		try {
			entries = await load();
		} catch (error) {
			trouble = failing(trouble, { cause: `The catalogue cannot be read: ${causeOf(error)}`, now: Date.now() });
			throw new CatalogueUnavailable(trouble.cause);
		}
		trouble = undefined;
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
		behind: () => (trouble ? [behind('the catalogue', trouble, Date.now())] : []),
		start() {
			const again = () => {
				timer = setTimeout(
					() =>
						void refresh()
							.catch(() => undefined)
							.finally(() => timer && again()),
					limits.catalogue_read_ms,
				); // behind() says it
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
