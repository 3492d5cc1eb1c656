import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignPartitions } from './copartition-assigner.ts';

const partitions = fc.integer({ min: 1, max: 64 });
const ids = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 9 });

/** Members with what they say they own: some of it out of range or claimed twice. */
const groups = fc.tuple(partitions, ids).chain(([count, members]) =>
	fc.tuple(
		fc.constant(count),
		fc.tuple(...members.map((member) => fc.tuple(fc.constant(member), fc.uniqueArray(fc.integer({ min: 0, max: count + 3 }))))).map((held) => new Map(held)),
	),
);

describe('assignPartitions()', () => {
	it('gives every partition to one member, as even as can be, whatever members claim', () => {
		fc.assert(
			fc.property(groups, ([count, held]) => {
				const given = assignPartitions(count, held);
				expect([...given.values()].flat().sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, partition) => partition));
				const sizes = [...given.values()].map(({ length }) => length);
				expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
				expect([...given.keys()].sort()).toEqual([...held.keys()].sort());
			}),
		);
	});

	it('is the same whatever the order in which members come', () => {
		fc.assert(
			fc.property(groups, ([count, held]) => {
				const backwards = assignPartitions(count, new Map([...held].reverse()));
				for (const [member, own] of assignPartitions(count, held)) expect(backwards.get(member)).toEqual(own);
			}),
		);
	});

	it('changes nothing when nobody came or left', () => {
		fc.assert(
			fc.property(groups, ([count, held]) => {
				const settled = assignPartitions(count, held);
				expect(assignPartitions(count, settled)).toEqual(settled);
			}),
		);
	});

	it('moves no more than it must when a member comes or leaves', () => {
		fc.assert(
			fc.property(partitions, ids, fc.string({ minLength: 9, maxLength: 12 }), (count, members, newcomer) => {
				const before = assignPartitions(count, new Map(members.map((member) => [member, []])));
				const after = assignPartitions(count, new Map([...before, [newcomer, []]]));
				// Those who were there only give: nothing moves between them.
				for (const member of members) for (const partition of after.get(member)!) expect(before.get(member)).toContain(partition);
				const back = assignPartitions(count, new Map(members.map((member) => [member, after.get(member)!])));
				for (const member of members) for (const partition of after.get(member)!) expect(back.get(member)).toContain(partition);
			}),
		);
	});
});
