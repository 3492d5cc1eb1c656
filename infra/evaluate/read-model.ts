import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ModelManifest, modelManifest } from '#schemas/model-manifest.ts';
import { parse } from '#schemas/parse.ts';
import { type NodeModel, openModel } from './open-model.ts';

export interface ReadModel {
	manifest: ModelManifest;
	model: NodeModel;
}

/** Where the sample's champion lies. */
export const CHAMPION = join(import.meta.dirname, '../sample/champion');

/** Opens the model of a directory with model.onnx and manifest.json. @throws when the manifest does not fit or is another file's. */
export async function readModel(directory: string): Promise<ReadModel> {
	const parsed = parse(modelManifest, JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')));
	if (!parsed.ok)
		throw new Error(
			`Cannot read the model of ${directory}: its manifest does not fit: ${parsed.errors.map(({ path, message }) => `${path} ${message}`).join('; ')}`,
		);
	const bytes = readFileSync(join(directory, 'model.onnx'));
	const found = createHash('sha256').update(bytes).digest('hex');
	if (found !== parsed.value.digest)
		throw new Error(`Cannot read the model of ${directory}: model.onnx is ${found}, its manifest is of ${parsed.value.digest}`);
	return { manifest: parsed.value, model: await openModel(bytes, parsed.value.outputs) };
}
