import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { manifestSchema, SCHEMA_FILE } from './manifest-schema-text.ts';

test('model-manifest.schema.json is what `node infra/training/manifest-schema.ts` writes', () => {
	expect(readFileSync(join(import.meta.dirname, '../..', SCHEMA_FILE), 'utf8')).toBe(manifestSchema());
});
