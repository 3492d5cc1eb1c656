import { expect, test } from 'vitest';
import type { Region } from '#schemas/region.ts';
import { CatalogueUnavailable, openCatalogue } from './catalogue.ts';
import { entry, until } from './features/river.test-support.ts';

test('refresh() takes greater versions only', async () => {
	let stored: Region[] = [{ ...entry('a'), version: 2, name: 'two' }];
	const catalogue = openCatalogue(async () => stored);
	await catalogue.refresh();
	stored = [{ ...entry('a'), version: 1, name: 'one' }, entry('b')];
	await catalogue.refresh();
	expect(catalogue.get('a')?.name).toBe('two');
	expect([...catalogue.all()].map(({ region_id }) => region_id)).toEqual(['a', 'b']);
});

test('refresh() during a reading waits for one that begins after it, shared by all who wait', async () => {
	const stored: Region[] = [];
	const gates: (() => void)[] = [];
	const catalogue = openCatalogue(async () => {
		const seen = [...stored];
		await new Promise<void>((resolve) => gates.push(resolve));
		return seen;
	});
	const first = catalogue.refresh();
	stored.push(entry('new'));
	const waiting = [catalogue.refresh(), catalogue.refresh()];
	gates[0]!();
	await first;
	expect(catalogue.get('new')).toBeUndefined();
	await until('the second reading', () => gates.length === 2);
	gates[1]!();
	await Promise.all(waiting);
	expect(catalogue.get('new')).toBeDefined();
	expect(gates.length).toBe(2);
});

test('refresh() throws CatalogueUnavailable and keeps what it has', async () => {
	let away = false;
	const catalogue = openCatalogue(async () => {
		if (away) throw new Error('no database');
		return [entry('a')];
	});
	await catalogue.refresh();
	away = true;
	await expect(catalogue.refresh()).rejects.toThrow(CatalogueUnavailable);
	await expect(Promise.all([catalogue.refresh(), catalogue.refresh()])).rejects.toThrow('no database');
	expect(catalogue.behind()).toMatchObject([{ what: 'the catalogue', cause: 'The catalogue cannot be read: no database' }]);
	expect(catalogue.get('a')).toBeDefined();
	away = false;
	await catalogue.refresh();
	expect(catalogue.behind()).toEqual([]);
});

test('start() reads every second until stop()', async () => {
	let loads = 0;
	const catalogue = openCatalogue(async () => {
		loads += 1;
		return [];
	});
	catalogue.start();
	await until('two readings', () => loads >= 2, 5000);
	catalogue.stop();
});
