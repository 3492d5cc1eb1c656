const START_BYTES = 4096;

/** Grows as it is written to. Numbers are varints of 7 bits, low ones first. */
export class ByteWriter {
	private bytes = new Uint8Array(START_BYTES);
	private view = new DataView(this.bytes.buffer);
	private length = 0;

	private reserve(count: number): void {
		if (this.length + count <= this.bytes.length) return;
		const bytes = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
		bytes.set(this.bytes);
		this.bytes = bytes;
		this.view = new DataView(bytes.buffer);
	}

	/** A whole number from 0 to 2^53 - 1. */
	number(value: number): void {
		this.reserve(8);
		let rest = value;
		while (rest > 0x7fffffff) {
			this.bytes[this.length++] = (rest % 128) | 128;
			rest = Math.floor(rest / 128);
		}
		while (rest > 127) {
			this.bytes[this.length++] = (rest & 127) | 128;
			rest >>>= 7;
		}
		this.bytes[this.length++] = rest;
	}

	/** Any number, in 8 bytes. */
	double(value: number): void {
		this.reserve(8);
		this.view.setFloat64(this.length, value);
		this.length += 8;
	}

	/** Any string, by its UTF-16 code units: a byte each where it is ASCII. */
	string(value: string): void {
		this.number(value.length);
		this.reserve(value.length);
		for (let i = 0; i < value.length; i++) {
			const unit = value.charCodeAt(i);
			if (unit > 127) {
				for (let rest = i; rest < value.length; rest++) this.number(value.charCodeAt(rest));
				return;
			}
			this.bytes[this.length++] = unit;
		}
	}

	/** Counts, most of them small: runs of zeros as 0 and their length. */
	counts(values: Uint32Array): void {
		this.number(values.length);
		for (let i = 0; i < values.length; ) {
			const value = values[i++]!;
			this.number(value);
			if (value !== 0) continue;
			const zeros = i - 1;
			while (i < values.length && values[i] === 0) i++;
			this.number(i - zeros);
		}
	}

	/** What was written, a copy; the writer begins anew. */
	take(): Uint8Array {
		const taken = this.bytes.slice(0, this.length);
		this.length = 0;
		return taken;
	}
}
