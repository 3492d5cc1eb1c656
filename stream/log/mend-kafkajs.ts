import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);

interface RequestQueue {
	pending: unknown[];
	scheduleCheckPendingRequests?(): void;
}
interface Decoder {
	buffer: Uint8Array;
	offset: number;
	readVarLong?(): unknown;
}
/** Internals of the client, by the names that version 2.2.4 has for them. */
const internals = {
	requestQueue: () => (load('kafkajs/src/network/requestQueue') as { prototype: RequestQueue }).prototype,
	decoder: () => (load('kafkajs/src/protocol/decoder') as { prototype: Decoder }).prototype,
	long: () => load('kafkajs/src/utils/long') as { fromInt?(value: number): unknown },
};
const unknown = (what: string) => new Error(`Cannot mend kafkajs: it has no ${what}; is it still version 2.2.4?`);

/**
 * kafkajs 2.2.4 arms a timer with a negative delay, that is 1 ms, for ever, on every connection that has nothing pending: 4 % of a core at rest.
 * Nothing is lost by not arming it then: what comes later arms it.
 */
function mendIdleTimer(): void {
	const prototype = internals.requestQueue();
	const original = prototype.scheduleCheckPendingRequests;
	if (!original) throw unknown('RequestQueue.scheduleCheckPendingRequests');
	prototype.scheduleCheckPendingRequests = function () {
		if (this.pending.length > 0) original.call(this);
	};
}

/**
 * kafkajs 2.2.4 adds a 64-bit number up in objects of a BigInt each, seven for the single byte that nearly every record has: a quarter of all memory that
 * reading records takes. Numbers of up to four bytes are read as such here, longer ones as before.
 */
function mendShortNumbers(): void {
	const prototype = internals.decoder();
	const long = internals.long();
	const original = prototype.readVarLong;
	if (!original || !long.fromInt) throw unknown('Decoder.readVarLong or Long.fromInt');
	const zero = long.fromInt(0);
	prototype.readVarLong = function () {
		let value = 0;
		let at = this.offset;
		for (let shift = 0; shift < 28; shift += 7) {
			const byte = this.buffer[at++]!;
			value |= (byte & 0x7f) << shift;
			if (byte >= 0x80) continue;
			this.offset = at;
			return value === 0 ? zero : long.fromInt!((value >>> 1) ^ -(value & 1));
		}
		return original.call(this);
	};
}

let mended = false;

/** Mends what hurts in the client, once a process. @throws Error where it is not the version that this was made for. */
export function mendKafkajs(): void {
	if (mended) return;
	mendIdleTimer();
	mendShortNumbers();
	mended = true;
}
