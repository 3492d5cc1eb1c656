import * as z from 'zod';
import { modelManifest } from '#schemas/model-manifest.ts';
import { jsonText } from '../evaluate/json-text.ts';

export const SCHEMA_FILE = 'schemas/model-manifest.schema.json';

/** The JSON Schema of a model's manifest, as the file has it. */
export function manifestSchema(): string {
	const schema = z.toJSONSchema(modelManifest, { target: 'draft-2020-12' });
	return jsonText({ title: 'Manifest of a surgecast model', ...schema });
}
