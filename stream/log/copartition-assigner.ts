import kafkajs, { type Assignment, type PartitionAssigner } from 'kafkajs';

const NAME = 'surgecast-copartition';

/**
 * Which member gets which partitions: as even as can be, each partition to one member, and a member keeps what it has unless that would be more than its
 * share. The same answer from the same input on every node.
 * @param held what each member says that it owned last, by member id.
 */
export function assignPartitions(partitions: number, held: ReadonlyMap<string, readonly number[]>): Map<string, number[]> {
	const members = [...held.keys()].sort();
	const given = new Map<string, number[]>(members.map((member) => [member, []]));
	const free = new Set(Array.from({ length: partitions }, (_, partition) => partition));
	const low = Math.floor(partitions / members.length);
	let larger = partitions % members.length; // so many members get one more
	for (const member of members) {
		const own = given.get(member)!;
		const kept = [...(held.get(member) ?? [])].filter((partition) => free.has(partition)).sort((a, b) => a - b);
		const share = kept.length > low && larger > 0 ? low + 1 : low;
		if (share > low) larger--;
		for (const partition of kept.slice(0, share)) {
			own.push(partition);
			free.delete(partition);
		}
	}
	for (const partition of free) {
		const least = members.reduce((a, b) => (given.get(b)!.length < given.get(a)!.length ? b : a));
		given.get(least)!.push(partition);
	}
	for (const own of given.values()) own.sort((a, b) => a - b);
	return given;
}

/** The same as kafkajs wants it: partition n of every topic of the group to the same member. `owned`: what this member owns, told to the next leader. */
export function copartitionAssigner(owned: () => readonly number[]): PartitionAssigner {
	const { MemberMetadata, MemberAssignment } = kafkajs.AssignerProtocol;
	return ({ cluster }) => ({
		name: NAME,
		version: 1,
		async assign({ members, topics }) {
			const counts = new Map(topics.map((topic) => [topic, cluster.findTopicPartitionMetadata(topic).length]));
			const partitions = Math.max(...counts.values());
			const held = new Map(members.map(({ memberId, memberMetadata }) => [memberId, heldBy(memberMetadata)]));
			return [...assignPartitions(partitions, held)].map(([memberId, own]) => {
				const assignment: Assignment = Object.fromEntries([...counts].map(([topic, count]) => [topic, own.filter((partition) => partition < count)]));
				return { memberId, memberAssignment: MemberAssignment.encode({ version: 1, assignment, userData: Buffer.alloc(0) }) };
			});
		},
		protocol: ({ topics }) => ({
			name: NAME,
			metadata: MemberMetadata.encode({ version: 1, topics, userData: Buffer.from(JSON.stringify(owned())) }),
		}),
	});

	/** A member of another version says nothing that we understand: then it holds nothing. */
	function heldBy(metadata: Buffer): number[] {
		try {
			const held: unknown = JSON.parse(MemberMetadata.decode(metadata)?.userData.toString('utf8') ?? '[]');
			return Array.isArray(held) ? held.filter((one) => Number.isInteger(one)) : [];
		} catch {
			return [];
		}
	}
}
