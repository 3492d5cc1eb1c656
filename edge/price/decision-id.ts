// UUID version 7 (RFC 9562): the first 48 bits are the time, so that ids of one time lie together in an index.
const bytes = new Uint8Array(16 * 64);
let used = bytes.length;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** A new UUID v7 of this instant (milliseconds, wall clock). */
export function decisionId(at: number): string {
	if (used === bytes.length) {
		crypto.getRandomValues(bytes); // 64 ids at a time: a call costs more than the bytes
		used = 0;
	}
	const b = used;
	used += 16;
	const time = at.toString(16).padStart(12, '0');
	const hex = (i: number) => HEX[bytes[b + i]!]!;
	const variant = HEX[(bytes[b + 8]! & 0x3f) | 0x80]!;
	return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(6)[1]}${hex(7)}-${variant}${hex(9)}-${hex(10)}${hex(11)}${hex(12)}${hex(13)}${hex(14)}${hex(15)}`;
}
