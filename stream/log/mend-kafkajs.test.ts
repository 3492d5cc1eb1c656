import { createRequire } from 'node:module';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { mendKafkajs } from './mend-kafkajs.ts';

const load = createRequire(import.meta.url);
interface Reads {
	buffer: Buffer;
	offset: number;
	readVarLong(): { toString(): string; value: bigint };
}
const Encoder = load('kafkajs/src/protocol/encoder') as new () => { writeVarLong(value: unknown): { buffer: Buffer } };
const Decoder = load('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => Reads;
const Long = load('kafkajs/src/utils/long') as { fromValue(value: bigint): unknown };

test('law: the client reads every 64-bit number as it did before it was mended, and as many bytes of it', () => {
	const unmended = (Decoder.prototype as Reads).readVarLong;
	mendKafkajs();
	const mended = (Decoder.prototype as Reads).readVarLong;
	expect(mended).not.toBe(unmended);
	const edges = [0n, 1n, -1n, 63n, 64n, -64n, -65n, 2n ** 27n - 1n, 2n ** 27n, -(2n ** 27n), -(2n ** 27n) - 1n, 2n ** 31n, 2n ** 63n - 1n, -(2n ** 63n)];
	const number = fc.oneof(fc.constantFrom(...edges), fc.bigInt({ min: -300n, max: 300n }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));
	fc.assert(
		fc.property(number, (value) => {
			const bytes = Buffer.concat([Buffer.from([7]), new Encoder().writeVarLong(Long.fromValue(value)).buffer, Buffer.from([9])]);
			const read = (by: Reads['readVarLong']) => {
				const decoder = new Decoder(bytes);
				decoder.offset = 1;
				const { value: found } = by.call(decoder);
				return { found, offset: decoder.offset };
			};
			expect(read(mended)).toEqual({ found: value, offset: bytes.length - 1 });
			expect(read(mended)).toEqual(read(unmended));
		}),
		{ numRuns: 2000 },
	);
});
