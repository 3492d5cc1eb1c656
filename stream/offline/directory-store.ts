import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import type { FileStore } from './file-store.ts';

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

async function sync(directory: string): Promise<void> {
	const handle = await open(directory, 'r');
	await handle.sync().finally(() => handle.close());
}

/** Files in a directory (absolute), made when the first is written. Each is written beside its place, synced and moved there: a kill leaves the old or the new. */
export function directoryStore(directory: string): FileStore {
	let written = 0;
	return {
		place: directory,
		async write(key, bytes) {
			const path = join(directory, key);
			const folder = dirname(path);
			const made = await mkdir(folder, { recursive: true });
			const fresh = join(folder, `.${process.pid}-${++written}.new`); // hidden: `list` does not tell of it
			try {
				const handle = await open(fresh, 'w');
				try {
					await handle.writeFile(bytes);
					await handle.sync();
				} finally {
					await handle.close();
				}
				await rename(fresh, path);
			} catch (error) {
				await rm(fresh, { force: true });
				throw error;
			}
			await sync(folder);
			// The names of folders that are new stand in their parents.
			for (let parent = folder; made !== undefined && parent.length >= made.length; parent = dirname(parent)) await sync(dirname(parent));
		},
		async read(key) {
			try {
				return await readFile(join(directory, key));
			} catch (error) {
				if (isMissing(error)) return undefined;
				throw error;
			}
		},
		async remove(key) {
			await rm(join(directory, key), { force: true });
		},
		async list(prefix) {
			try {
				// Only below the last whole folder of the prefix: a store of years has many days.
				const root = join(directory, prefix.slice(0, prefix.lastIndexOf('/') + 1));
				return (await readdir(root, { recursive: true, withFileTypes: true }))
					.filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
					.map((entry) => relative(directory, join(entry.parentPath, entry.name)).split(sep).join('/'))
					.filter((key) => key.startsWith(prefix))
					.sort();
			} catch (error) {
				if (isMissing(error)) return [];
				throw error;
			}
		},
	};
}
