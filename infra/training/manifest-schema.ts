// node infra/training/manifest-schema.ts: writes schemas/model-manifest.schema.json, the manifest's JSON Schema (draft 2020-12), from its zod schema.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { manifestSchema, SCHEMA_FILE } from './manifest-schema-text.ts';

writeFileSync(join(import.meta.dirname, '../..', SCHEMA_FILE), manifestSchema());
console.log(SCHEMA_FILE);
