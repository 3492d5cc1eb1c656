import { expect, test } from 'vitest';
import { murmur2, partition } from './partition.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from([...text].map((character) => character.charCodeAt(0)));

test('murmur2() gives the values of org.apache.kafka.common.utils.UtilsTest', () => {
	const cases: [string, number][] = [
		['21', -973932308],
		['foobar', -790332482],
		['a-little-bit-long-string', -985981536],
		['a-little-bit-longer-string', -1486304829],
		['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
		['abc', 479470107],
	];
	for (const [text, expected] of cases) expect(murmur2(bytes(text)), text).toBe(expected);
});

test('partition() is toPositive(murmur2) modulo the partitions', () => {
	expect(partition('21', 8)).toBe((-973932308 & 0x7fffffff) % 8);
	expect(partition('abc', 8)).toBe(479470107 % 8);
	expect(partition('nyc-1', 1)).toBe(0);
});

test('partition() spreads the regions of a city over all partitions', () => {
	const counts = Array<number>(8).fill(0);
	for (let n = 0; n < 8000; n++) counts[partition(`region-${n}`, 8)]! += 1;
	for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
});
