// Kafka's murmur2 of the key's bytes, seed 0x9747b28c, so that a record lies where a Kafka producer would put it.
// Source: org.apache.kafka.common.utils.Utils.murmur2 and the default partitioner (toPositive(murmur2(key)) % partitions).

const SEED = 0x9747b28c | 0;
const M = 0x5bd1e995;

/** @param bytes the key as UTF-8. Returns a signed 32-bit integer. */
export function murmur2(bytes: Uint8Array): number {
	const { length } = bytes;
	let h = SEED ^ length;
	const whole = length & ~3;
	for (let i = 0; i < whole; i += 4) {
		let k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
		k = Math.imul(k, M);
		k ^= k >>> 24;
		h = Math.imul(h, M) ^ Math.imul(k, M);
	}
	switch (length & 3) {
		case 3:
			h ^= bytes[whole + 2]! << 16;
			h ^= bytes[whole + 1]! << 8;
			h = Math.imul(h ^ bytes[whole]!, M);
			break;
		case 2:
			h ^= bytes[whole + 1]! << 8;
			h = Math.imul(h ^ bytes[whole]!, M);
			break;
		case 1:
			h = Math.imul(h ^ bytes[whole]!, M);
			break;
	}
	h = Math.imul(h ^ (h >>> 13), M);
	return h ^ (h >>> 15);
}

/** The partition of a region, which is also its shard. Region ids are ASCII, so a character is a byte. */
export function partition(regionId: string, partitions: number): number {
	const bytes = new Uint8Array(regionId.length);
	for (let i = 0; i < regionId.length; i++) bytes[i] = regionId.charCodeAt(i);
	return (murmur2(bytes) & 0x7fffffff) % partitions;
}
