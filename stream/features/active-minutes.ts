const MINUTE_MS = 60_000;

/**
 * The minutes in which anything happened in a region, over a span: whether a minute's vector is logged is asked of the past, and later events must
 * not change the answer. A slot a minute; a newer minute takes the slot of an older one.
 */
export class ActiveMinutes {
	readonly #minutes: Int32Array;
	#newest = 0;

	/** @param spanMs how far back from the newest event a question may reach. */
	constructor(spanMs: number, bytes?: Uint8Array) {
		this.#minutes = new Int32Array(Math.ceil(spanMs / MINUTE_MS) + 2);
		if (!bytes) return;
		const stored = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		for (let at = 0; at + 4 <= bytes.byteLength; at += 4) this.#mark(stored.getInt32(at, true));
	}

	add(timestamp: number): void {
		this.#mark(Math.floor(timestamp / MINUTE_MS));
	}

	#mark(minute: number): void {
		const slot = minute % this.#minutes.length;
		if (!(minute > this.#minutes[slot]!)) return;
		this.#minutes[slot] = minute;
		if (minute > this.#newest) this.#newest = minute;
	}

	/** Whether anything happened in [from, to), both whole minutes in milliseconds. */
	any(from: number, to: number): boolean {
		const first = from / MINUTE_MS;
		if (this.#newest < first) return false;
		for (let minute = Math.min(to / MINUTE_MS - 1, this.#newest); minute >= first; minute--)
			if (this.#minutes[minute % this.#minutes.length] === minute) return true;
		return false;
	}

	/** For the checkpoint: the minutes, four bytes each. */
	bytes(): Uint8Array {
		const known = this.#minutes.filter((minute) => minute > 0);
		const bytes = new DataView(new ArrayBuffer(known.length * 4));
		known.forEach((minute, i) => {
			bytes.setInt32(i * 4, minute, true);
		});
		return new Uint8Array(bytes.buffer);
	}
}
