import { expect, test } from 'vitest';
import { growth } from './growth.ts';

const MIB = 1024 * 1024;
const minutes = (...main: number[]) => main.map((mib) => ({ main: mib * MIB, workerd: 200 * MIB }));

test('growth() lets a process warm up, and one that has come to rest be', () => {
	expect(growth(minutes(100, 300, 800, 900, 1000, 1050, 990, 1010, 1100, 1020))).toEqual([]);
	expect(growth(minutes(1000))).toEqual([]);
});

test('growth() names a process that goes on growing, and one that was not there at half time', () => {
	expect(growth(minutes(100, 200, 300, 400, 500, 600, 700, 800, 900, 1000))).toEqual(['main grew from 500 MiB at half time to 1000 MiB']);
	expect(growth([...minutes(1, 1, 1), { main: MIB, workerd: 200 * MIB, sh: 2 * MIB }])).toEqual(['sh grew from 0 MiB at half time to 2 MiB']);
});
