import { createHash } from 'node:crypto';
import { limits } from '#schemas/limits.ts';
import { type ModelManifest, modelManifest } from '#schemas/model-manifest.ts';
import { parse } from '#schemas/parse.ts';
import type { FieldError } from '#schemas/problem.ts';
import type { Edge } from './edge.ts';

/** One thing that a model must pass, and what was seen. */
export interface GateCheck {
	check: string;
	ok: boolean;
	detail: string;
}

export type GateResult = { ok: true; manifest: ModelManifest; report: GateCheck[] } | { ok: false; errors: FieldError[]; report: GateCheck[] };

const TOLERANCE = 1e-4;
const RANDOM_ROWS = 24;
const HORIZONS = ['15', '30', '60'] as const;

/** Rows over the domain: its corners, its middle, and some between, always the same. */
function probeRows({ inputs, domain }: ModelManifest): number[][] {
	const ranges = inputs.map(
		(name): readonly [number, number] => domain.clip[name] ?? (name === 'usual_60min' ? domain.usual_60min : [0, name === 'history_days' ? 28 : 1]),
	);
	let state = 1;
	const next = () => {
		state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff;
		return state / 0x7fffffff;
	};
	const at = (share: () => number) => ranges.map(([low, high]) => low + (high - low) * share());
	return [at(() => 0), at(() => 1), at(() => 0.5), ...Array.from({ length: RANDOM_ROWS }, () => at(next))];
}

/**
 * Whether a model may be registered: its manifest fits, its file is the one that the manifest names, and it runs in the edge's own runtime, where it
 * gives three finite outputs within its declared range, the same for a batch as row by row, and the trainer's own for the golden rows.
 * @throws UnavailableError when the edge does not answer.
 */
export async function gateModel(
	{ manifestText, bytes }: { manifestText: string | undefined; bytes: Uint8Array | undefined },
	edge: Pick<Edge, 'tryModel'>,
): Promise<GateResult> {
	const report: GateCheck[] = [];
	const errors: FieldError[] = [];
	const check = (name: string, holds: boolean, options: { path: string; detail: string }): boolean => {
		report.push({ check: name, ok: holds, detail: options.detail });
		if (!holds) errors.push({ path: options.path, message: options.detail });
		return holds;
	};
	const manifestBytes = Buffer.byteLength(manifestText ?? '');
	check('manifest', manifestText !== undefined && manifestBytes <= limits.manifest_bytes_max, {
		path: '/manifest',
		detail: manifestText === undefined ? 'is missing' : `${manifestBytes} bytes, wanted are up to ${limits.manifest_bytes_max}`,
	});
	const size = bytes?.length ?? 0;
	check('model', size > 0 && size <= limits.model_bytes_max, {
		path: '/model',
		detail: bytes === undefined ? 'is missing' : `${size} bytes, wanted are 1 to ${limits.model_bytes_max}`,
	});
	if (manifestBytes > limits.manifest_bytes_max) return { ok: false, errors, report };
	let value: unknown;
	try {
		value = JSON.parse(manifestText ?? '');
	} catch {
		if (manifestText !== undefined) check('manifest is JSON', false, { path: '/manifest', detail: 'is not JSON' });
		return { ok: false, errors, report };
	}
	const parsed = parse(modelManifest, value);
	if (!parsed.ok) {
		report.push({ check: 'manifest fits its schema', ok: false, detail: `${parsed.errors.length} errors` });
		return { ok: false, errors: [...errors, ...parsed.errors.map(({ path, message }) => ({ path: `/manifest${path}`, message }))], report };
	}
	const manifest = parsed.value;
	if (!bytes || errors.length > 0) return { ok: false, errors, report };
	const digest = createHash('sha256').update(bytes).digest('hex');
	if (!check('digest', digest === manifest.digest, { path: '/manifest/digest', detail: `the file's SHA-256 is ${digest}` }))
		return { ok: false, errors, report };

	const probes = probeRows(manifest);
	const rows = [...probes, ...manifest.golden.map(({ inputs }) => inputs)];
	if (
		!check(
			'golden rows',
			manifest.golden.every(({ inputs }) => inputs.length === manifest.inputs.length),
			{ path: '/manifest/golden', detail: `${manifest.golden.length} rows of ${manifest.inputs.length} inputs` },
		)
	)
		return { ok: false, errors, report };
	const tried = await edge.tryModel({ model: Buffer.from(bytes).toString('base64'), rows });
	if ('error' in tried) {
		check('runs at the edge', false, { path: '/model', detail: tried.error.slice(0, 500) });
		return { ok: false, errors, report };
	}
	check('runs at the edge', true, { path: '/model', detail: `${rows.length} rows` });
	const [least, greatest] = manifest.output_range;
	HORIZONS.forEach((horizon, index) => {
		const name = manifest.outputs[horizon];
		const output = tried.outputs[name];
		const path = `/manifest/outputs/${horizon}`;
		const shaped = output?.batch.length === rows.length && output.single.length === rows.length;
		check(`output ${horizon}`, shaped, {
			path,
			detail: output ? `${output.batch.length} numbers for ${rows.length} rows` : `the graph has no output "${name}"`,
		});
		if (!output || !shaped) return;
		const within = output.batch.filter((number) => number !== null && number >= least && number <= greatest).length;
		check(`range ${horizon}`, within === rows.length, { path, detail: `${within} of ${rows.length} outputs are within ${least} to ${greatest}` });
		const same = output.batch.filter((number, row) => number === output.single[row]).length;
		check(`batch ${horizon}`, same === rows.length, { path, detail: `${same} of ${rows.length} rows are the same alone and in a batch` });
		const golden = manifest.golden.filter(({ outputs }, row) => {
			const got = output.batch[probes.length + row];
			const wanted = outputs[index] ?? Number.NaN;
			return typeof got === 'number' && Math.abs(got - wanted) <= TOLERANCE + TOLERANCE * Math.abs(wanted);
		}).length;
		check(`golden ${horizon}`, golden === manifest.golden.length, { path, detail: `${golden} of ${manifest.golden.length} golden rows are the trainer's` });
	});
	return errors.length === 0 ? { ok: true, manifest, report } : { ok: false, errors, report };
}
