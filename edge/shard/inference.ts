// The one home of onnxruntime-web. workerd forbids compiling WebAssembly from bytes, so the module is imported
// (compiled by the runtime) and handed to ORT's glue where it asks for an instantiation.
import type * as Ort from 'onnxruntime-web/wasm';

export interface OpenModel {
	/** Names of the graph's outputs. */
	outputs: readonly string[];
	/** One run for all rows (each of the model's width): per output a flat array, row after row. */
	run(rows: readonly (readonly number[])[]): Promise<Record<string, Float32Array>>;
	close(): Promise<void>;
}

let loaded: typeof Ort | undefined; // finished data only: a promise kept here would belong to the object that made it

/** Loads ORT when it is first needed: 0.2 to 0.5 s, in which the thread answers nobody. */
async function load(): Promise<typeof Ort> {
	if (loaded) return loaded;
	const [{ default: wasm }, ort] = await Promise.all([import('onnxruntime-web/ort-wasm-simd-threaded.wasm'), import('onnxruntime-web/wasm')]);
	if (loaded) return loaded;
	const instantiate = WebAssembly.instantiate as (module: WebAssembly.Module, imports: WebAssembly.Imports) => Promise<WebAssembly.Instance>;
	const replacement = async (source: unknown, imports: WebAssembly.Imports) =>
		source instanceof WebAssembly.Module ? instantiate(source, imports) : { module: wasm, instance: await instantiate(wasm, imports) };
	Object.assign(WebAssembly, { instantiate: replacement });
	ort.env.wasm.wasmBinary = new ArrayBuffer(8); // anything: keeps the glue from fetching
	ort.env.wasm.numThreads = 1;
	ort.env.logLevel = 'error';
	loaded = ort;
	return ort;
}

/** A session over the model's bytes. The graph has one float32 input [rows, width] whose first dimension is free. */
export async function openModel(bytes: Uint8Array): Promise<OpenModel> {
	const ort = await load();
	const session = await ort.InferenceSession.create(bytes);
	const [input] = session.inputNames;
	if (input === undefined) throw new Error('Cannot open a model without an input');
	return {
		outputs: session.outputNames,
		run: async (rows) => {
			const tensor = new ort.Tensor('float32', Float32Array.from(rows.flat()), [rows.length, rows[0]?.length ?? 0]);
			const results = await session.run({ [input]: tensor });
			return Object.fromEntries(session.outputNames.map((name) => [name, results[name]?.data as Float32Array]));
		},
		close: () => session.release(),
	};
}
