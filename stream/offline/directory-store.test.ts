import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { directoryStore } from './directory-store.ts';
import { fileStoreContract } from './file-store.contract.ts';

const directories: string[] = [];
afterEach(() => {
	for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});
function fresh(): string {
	directories.push(mkdtempSync(join(tmpdir(), 'surgecast-offline-')));
	return join(directories[0]!, 'not/there/yet');
}

fileStoreContract('a directory', async () => directoryStore(fresh()));

test('a directory does not list what a kill left half-written', async () => {
	const directory = fresh();
	const store = directoryStore(directory);
	await store.write('finals/a', Buffer.from('a'));
	writeFileSync(join(directory, 'finals/.123-1.new'), 'half');
	expect(await store.list('finals/')).toEqual(['finals/a']);
});

test('a directory whose place is taken by a file says so, and leaves nothing behind', async () => {
	const directory = fresh();
	const store = directoryStore(directory);
	await store.write('a', Buffer.from('a'));
	await expect(store.write('a/b', Buffer.from('b'))).rejects.toThrow(/EEXIST|ENOTDIR/);
	expect(await store.list('')).toEqual(['a']);
});
