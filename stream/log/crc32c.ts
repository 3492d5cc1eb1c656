// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78; RFC 3720 appendix B.4), eight bytes a step ("slicing by 8").

const tables: Int32Array[] = Array.from({ length: 8 }, () => new Int32Array(256));
for (let i = 0; i < 256; i++) {
	let crc = i;
	for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
	tables[0]![i] = crc;
}
for (let i = 0; i < 256; i++) for (let t = 1; t < 8; t++) tables[t]![i] = (tables[t - 1]![i]! >>> 8) ^ tables[0]![tables[t - 1]![i]! & 0xff]!;
const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array];

/** The checksum of the first `length` bytes, as an unsigned 32-bit integer. `seed`: the checksum of what comes before them. */
export function crc32c(bytes: Uint8Array, seed = 0, length = bytes.length): number {
	let crc = ~seed;
	let i = 0;
	for (const whole = length - 7; i < whole; i += 8) {
		crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
		crc =
			t7[crc & 0xff]! ^
			t6[(crc >>> 8) & 0xff]! ^
			t5[(crc >>> 16) & 0xff]! ^
			t4[crc >>> 24]! ^
			t3[bytes[i + 4]!]! ^
			t2[bytes[i + 5]!]! ^
			t1[bytes[i + 6]!]! ^
			t0[bytes[i + 7]!]!;
	}
	for (; i < length; i++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[i]!) & 0xff]!;
	return ~crc >>> 0;
}
