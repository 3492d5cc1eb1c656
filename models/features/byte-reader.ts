/** Reads what ByteWriter wrote. Throws RangeError past the end. */
export class ByteReader {
	private readonly bytes: Uint8Array;
	private readonly view: DataView;
	private position = 0;

	constructor(bytes: Uint8Array) {
		this.bytes = bytes;
		this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	}

	number(): number {
		let value = 0;
		let scale = 1;
		for (;;) {
			const byte = this.view.getUint8(this.position++);
			value += (byte & 127) * scale;
			if (byte < 128) return value;
			scale *= 128;
		}
	}

	double(): number {
		const value = this.view.getFloat64(this.position);
		this.position += 8;
		return value;
	}

	string(): string {
		let value = '';
		for (let length = this.number(); length > 0; length--) value += String.fromCharCode(this.number());
		return value;
	}

	counts(): number[] {
		const values: number[] = new Array<number>(this.number()).fill(0);
		for (let i = 0; i < values.length; ) {
			const value = this.number();
			if (value === 0) i += this.number();
			else values[i++] = value;
		}
		return values;
	}

	get ended(): boolean {
		return this.position >= this.bytes.length;
	}
}
