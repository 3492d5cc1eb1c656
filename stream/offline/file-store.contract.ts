import { expect, test } from 'vitest';
import type { FileStore } from './file-store.ts';

/** What every home of the offline store does. @param open an empty one, each time. */
export function fileStoreContract(name: string, open: () => Promise<FileStore>): void {
	const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();

	test(`${name} gives back what was written, and the newest of a key`, async () => {
		const store = await open();
		const bytes = Uint8Array.from({ length: 100_000 }, (_, n) => n % 251);
		await store.write('finals/day=2026-01-11/utc_hour=10/shard=3-00.parquet', bytes);
		expect(Buffer.compare((await store.read('finals/day=2026-01-11/utc_hour=10/shard=3-00.parquet'))!, bytes)).toBe(0);
		await store.write('finals/day=2026-01-11/utc_hour=10/shard=3-00.parquet', Buffer.from('new'));
		expect(text(await store.read('finals/day=2026-01-11/utc_hour=10/shard=3-00.parquet'))).toBe('new');
		await store.write('empty', new Uint8Array());
		expect((await store.read('empty'))?.length).toBe(0);
	});

	test(`${name} takes keys with odd characters`, async () => {
		const store = await open();
		for (const key of ['a/b c', "a/+%25&<>'!()*", 'a/ü=1']) await store.write(key, Buffer.from(key));
		for (const key of await store.list('a/')) expect(text(await store.read(key))).toBe(key);
		expect((await store.list('a/')).length).toBe(3);
	});

	test(`${name} has nothing where nothing was written or where it was removed`, async () => {
		const store = await open();
		expect(await store.read('finals/none')).toBeUndefined();
		expect(await store.list('finals/')).toEqual([]);
		await store.remove('finals/none');
		await store.write('finals/one', Buffer.from('1'));
		await store.remove('finals/one');
		expect(await store.read('finals/one')).toBeUndefined();
		expect(await store.list('')).toEqual([]);
	});

	test(`${name} lists by prefix, in order, all of it`, async () => {
		const store = await open();
		const keys = Array.from({ length: 40 }, (_, n) => `finals/day=${String(n % 4).padStart(2, '0')}/f-${String(n).padStart(2, '0')}`);
		await Promise.all(keys.map((key) => store.write(key, Buffer.from(key))));
		await store.write('other', Buffer.from('x'));
		expect(await store.list('finals/')).toEqual(keys.toSorted());
		expect(await store.list('finals/day=01/f-1')).toEqual(['finals/day=01/f-13', 'finals/day=01/f-17']);
	});
}
