/** The log was made with another number of partitions. */
export class PartitionsDiffer extends Error {}
