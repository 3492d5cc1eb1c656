import { crc32c } from './crc32c.ts';

let scratch = Buffer.allocUnsafe(4096);

/** The CRC32C of everything that a reader of a record relies on; `place` is its `<topic number>/<partition>`. */
export function recordChecksum(place: string, offset: number, at: number, key: string, headers: string | null, value: Uint8Array): number {
	const text = `${place}/${offset}/${at}/${key}/${headers ?? ''}`;
	if (text.length * 3 > scratch.length) scratch = Buffer.allocUnsafe(text.length * 6);
	return crc32c(value, crc32c(scratch, 0, scratch.write(text)));
}
