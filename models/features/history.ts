/** Something that happened, in the order that settles conflicts: by time, then by event id (UTF-16 code units). */
export interface Dated {
	at: number;
	id: string;
}

export function isAfter(a: Dated, b: Dated): boolean {
	return a.at > b.at || (a.at === b.at && a.id > b.id);
}

/** Puts an entry where it belongs in a list in (at, id) order. Cheap at the end, where nearly all of them go. */
export function insert<T extends Dated>(list: T[], entry: T): void {
	if (list.length === 0 || isAfter(entry, list[list.length - 1]!)) {
		list.push(entry);
		return;
	}
	let low = 0;
	let high = list.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (isAfter(entry, list[middle]!)) low = middle + 1;
		else high = middle;
	}
	list.splice(low, 0, entry);
}

/** How many entries of an ordered list happened before this instant. */
export function countBefore(list: readonly Dated[], at: number): number {
	let low = 0;
	let high = list.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (list[middle]!.at < at) low = middle + 1;
		else high = middle;
	}
	return low;
}
