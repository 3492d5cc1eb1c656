import * as z from 'zod';
import { slug } from './identifier.ts';

/** SHA-256 of a body's bytes, in lower-case hex. */
export const digest = z.string().regex(/^[0-9a-f]{64}$/);

export const ruleSetReference = z.strictObject({ version: z.int().positive(), digest });
export type RuleSetReference = z.infer<typeof ruleSetReference>;

/** A model by its file's digest and its manifest's: both lie in KV under `model/<digest>` and `manifest/<digest>`. */
export const modelReference = z.strictObject({ name: slug, version: z.int().positive(), digest, manifest: digest });
export type ModelReference = z.infer<typeof modelReference>;

/** One version of every rule set, the models in force and the experiments, under one growing number. Signed and immutable. */
export const release = z.strictObject({
	release: z.int().positive(),
	rule_sets: z.record(slug, ruleSetReference),
	models: z.strictObject({
		champion: modelReference.nullable(),
		canary: modelReference.extend({ percent: z.number().min(0).max(100) }).nullable(),
		shadows: z.array(modelReference),
	}),
	experiments: z.array(z.never()),
	created_at: z.string(),
	created_by: z.string(),
});
export type Release = z.infer<typeof release>;

/** The clients' keys, as the control plane last had them. `version` grows when they change. */
export const clientKeys = z.strictObject({
	version: z.int().nonnegative(),
	issuer: z.string(),
	audience: z.string(),
	jwks: z.looseObject({ keys: z.array(z.looseObject({})) }),
});
export type ClientKeys = z.infer<typeof clientKeys>;

/** What travels to the Shards and to KV (key `release`): the release as a JWS of role service, kid `control-plane`, and the clients' keys. */
export const releasePointer = z.strictObject({ jws: z.string(), keys: clientKeys });
export type ReleasePointer = z.infer<typeof releasePointer>;
