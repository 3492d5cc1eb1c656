import { modelForecast } from '#models/forecast/model-forecast.ts';
import { modelInput } from '#models/forecast/model-input.ts';
import { pulse } from '#models/forecast/pulse.ts';
import type { FeatureVector } from '#schemas/feature.ts';
import type { Forecast } from '#schemas/forecast.ts';
import { limits } from '#schemas/limits.ts';
import { type ModelManifest, modelManifest } from '#schemas/model-manifest.ts';
import { parse } from '#schemas/parse.ts';
import type { ModelReference } from '#schemas/release.ts';
import { patience } from '../patience.ts';
import { sha256 } from '../sha256.ts';
import type { ShardEnvironment } from './environment.ts';
import type { OpenModel } from './inference.ts';

/** A model of a release, open in this object. */
export interface LoadedModel {
	reference: ModelReference;
	manifest: ModelManifest;
	session: OpenModel;
}

/**
 * Fetches a model and its manifest from KV by their digests, checks both, and opens a session: ONNX Runtime is loaded with the first.
 * @throws when a part is missing or another one than its digest says, too large, or does not open; the message says which.
 */
export async function loadModel(reference: ModelReference, env: Pick<ShardEnvironment, 'RELEASES'>): Promise<LoadedModel> {
	const { name, version, digest, manifest: manifestDigest } = reference;
	const refuse = (what: string) => new Error(`Cannot load model ${name}@${version}: ${what}`);
	const fromKv = async <T>(part: string, reading: Promise<T | null>): Promise<T> => {
		const read = await patience(
			reading.then((value) => ({ value })),
			limits.kv_model_ms,
		);
		if (!read) throw refuse(`KV did not give its ${part} within ${limits.kv_model_ms} ms`);
		if (read.value === null) throw refuse(`KV does not have its ${part}`);
		return read.value;
	};
	const [bytes, text] = await Promise.all([
		fromKv('file', env.RELEASES.get(`model/${digest}`, 'arrayBuffer')),
		fromKv('manifest', env.RELEASES.get(`manifest/${manifestDigest}`)),
	]);
	if (bytes.byteLength > limits.model_bytes_max) throw refuse(`its file has ${bytes.byteLength} bytes, at most ${limits.model_bytes_max} are wanted`);
	if ((await sha256(bytes)) !== digest) throw refuse('its file is another one');
	if ((await sha256(text)) !== manifestDigest) throw refuse('its manifest is another one');
	const parsed = parse(modelManifest, JSON.parse(text));
	if (!parsed.ok) throw refuse(`its manifest does not fit: ${parsed.errors[0]?.path} ${parsed.errors[0]?.message}`);
	// Imported only here: without a model nothing of ONNX Runtime is evaluated.
	const { openModel } = await import('./inference.ts');
	return { reference, manifest: parsed.value, session: await openModel(new Uint8Array(bytes)) };
}

/** Forecasts of these features by one model, in one run; `pulse` where the model's domain ends. `clamped`: outputs that left the declared range. */
export async function forecastRows(model: LoadedModel | undefined, rows: readonly FeatureVector[]): Promise<{ forecasts: Forecast[]; clamped: number }> {
	if (!model) return { forecasts: rows.map(pulse), clamped: 0 };
	const { manifest, session } = model;
	const inputs = rows.map((values) => modelInput(values, manifest));
	const known = inputs.flatMap((input) => ('row' in input ? [input.row] : []));
	const outputs = known.length > 0 ? await session.run(known) : {};
	const [a, b, c] = [outputs[manifest.outputs['15']], outputs[manifest.outputs['30']], outputs[manifest.outputs['60']]];
	let clamped = 0;
	let next = 0;
	const forecasts = inputs.map((input, index): Forecast => {
		if (!('row' in input)) return { ...pulse(rows[index] ?? []), out_of_domain: true };
		const at = next++;
		const made = modelForecast([a?.[at] ?? Number.NaN, b?.[at] ?? Number.NaN, c?.[at] ?? Number.NaN], manifest);
		if (made.clamped) clamped += 1;
		return made.forecast;
	});
	return { forecasts, clamped };
}
