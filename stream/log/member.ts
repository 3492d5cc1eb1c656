import type { Topic } from '#schemas/topic.ts';
import type { ReadLimits, StoredRecord } from './event-log.ts';

/**
 * A member of a group whose members share the partitions of some topics. Partition n of every topic belongs to the same member, so that one worker owns a
 * region across topics. Ownership moves when members come, leave or die: whoever writes for a partition fences its writes by an epoch.
 */
export interface Member {
	/** Owned now, ascending. */
	partitions(): readonly number[];
	/** Calls `listener` whenever the partitions were given out anew, even if to the same members, until the answered function is called. */
	onChange(listener: () => void): () => void;
	/**
	 * Records from `offset` on, in order, up to the limits: one at least if there is any.
	 * @throws PositionLost when the log does not hold that offset (never jumps); LogUnavailable; NotOwner.
	 */
	read(topic: Topic, partition: number, options: ReadLimits & { offset: number }): Promise<StoredRecord[]>;
	/** Where the group stands in a partition: the offset of the next record that it wants; the start of the log before it committed any. */
	position(topic: Topic, partition: number): Promise<number>;
	/** @throws LogUnavailable; NotOwner */
	commit(topic: Topic, partition: number, offset: number): Promise<void>;
	/** Gives the partitions to the others at once, not after a timeout. */
	leave(): Promise<void>;
}

/** The partition belongs to another member by now. */
export class NotOwner extends Error {}
