import { mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FileStore } from '#stream/offline/file-store.ts';
import { FINALS, finalsFiles } from '#stream/offline/finals-key.ts';

const AT_ONCE = 8;

/**
 * The store's files of finals of the days from `first` to `last` (YYYY-MM-DD, UTC, both within), as paths of this machine: where the store is no directory they
 * are fetched into `folder`, a few at a time.
 */
export async function collectFinals(
	store: FileStore,
	{
		first,
		last,
		directory,
		folder,
		onProgress = () => undefined,
	}: { first: string; last: string; directory: string | null; folder: string; onProgress?: (done: number, all: number) => void },
): Promise<string[]> {
	const files = finalsFiles(await store.list(FINALS)).filter(({ day }) => day >= first && day <= last);
	if (directory !== null) return files.map(({ key }) => join(directory, key));
	const paths: string[] = [];
	const left = files.values();
	let done = 0;
	const fetchFiles = async (): Promise<void> => {
		for (const { key } of left) {
			// A part of an hour may have been replaced by the whole in between.
			const bytes = (await store.read(key)) ?? (await store.read(key.replace('.partial.parquet', '.parquet')));
			if (!bytes) throw new Error(`Cannot read ${key} in ${store.place}: it was there a moment ago`);
			const path = join(folder, key);
			mkdirSync(dirname(path), { recursive: true });
			await writeFile(path, bytes);
			paths.push(path);
			onProgress(++done, files.length);
		}
	};
	await Promise.all(Array.from({ length: AT_ONCE }, fetchFiles));
	return paths.sort();
}
