import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const directory = join(import.meta.dirname, 'champion');

/** The sample's model as it is committed: its manifest's text and its ONNX file. Undefined while none is. */
export function sampleChampion(): { manifest: string; bytes: Uint8Array } | undefined {
	if (!existsSync(join(directory, 'manifest.json'))) return undefined;
	return { manifest: readFileSync(join(directory, 'manifest.json'), 'utf8'), bytes: readFileSync(join(directory, 'model.onnx')) };
}
