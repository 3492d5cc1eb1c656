// The page of promises is true line by line: each of its rows has a test that carries its number.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const rows = [...readFileSync(join(ROOT, 'docs/faults.md'), 'utf8').matchAll(/^\| ([FRB]\d+) \|.*$/gm)].map(([row, id]) => ({ id: id!, row }));

const tests = ['edge', 'control-plane', 'stream', 'models', 'infra']
	.flatMap((room) => readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' }).map((file) => join(room, file)))
	.filter((file) => /\.(test|services)\.ts$/.test(file) && file !== 'infra/faults.test.ts');
/** Titles of tests and of their tables: what a runner prints. */
const titles = tests.flatMap((file) =>
	[...readFileSync(join(ROOT, file), 'utf8').matchAll(/(?:it|test|describe)[^'`"\n]*\(\s*(['`"])(.*?)\1|^\s*\[?\s*(['`"])(.*?)\3/gm)].map(
		([, , a, , b]) => a ?? b ?? '',
	),
);

it('docs/faults.md has rows', () => expect(rows.length).toBeGreaterThan(40));

it.each(rows)('$id is the name of a test', ({ id }) => {
	expect(titles.filter((title) => new RegExp(`\\b${id}\\b`).test(title))).not.toEqual([]);
});

it('every file and folder that docs/faults.md names is there', () => {
	const named = rows.flatMap(({ row }) => [...row.matchAll(/`((?:edge|control-plane|stream|models|infra)\/[\w./-]*)`/g)].map(([, path]) => path!));
	expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});
