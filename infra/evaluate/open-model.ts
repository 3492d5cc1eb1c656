import * as ort from 'onnxruntime-web/wasm';

/** A model's session in Node, by the same onnxruntime-web as in the Shard. */
export interface NodeModel {
	/** Expected bookings of the coming 15, 30 and 60 minutes of each row. */
	run(rows: readonly (readonly number[])[]): Promise<[number, number, number][]>;
}

/** Opens the bytes of an ONNX file with one float32 input [rows, width]; `outputs` names its outputs by horizon. */
export async function openModel(bytes: Uint8Array, outputs: Readonly<Record<'15' | '30' | '60', string>>): Promise<NodeModel> {
	ort.env.wasm.numThreads = 1;
	ort.env.logLevel = 'error';
	const session = await ort.InferenceSession.create(bytes);
	const [input] = session.inputNames;
	if (input === undefined) throw new Error('Cannot open a model without an input');
	return {
		run: async (rows) => {
			const width = rows[0]?.length ?? 0;
			if (width === 0) return [];
			const results = await session.run({ [input]: new ort.Tensor('float32', Float32Array.from(rows.flat()), [rows.length, width]) });
			const columns = (['15', '30', '60'] as const).map((horizon) => results[outputs[horizon]]?.data as Float32Array | undefined);
			const at = (column: number, row: number) => columns[column]?.[row] ?? Number.NaN;
			return rows.map((_, row) => [at(0, row), at(1, row), at(2, row)]);
		},
	};
}
