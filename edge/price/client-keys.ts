import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { ClientKeys } from '#schemas/release.ts';

export interface HeldKeys {
	keys: ClientKeys;
	get: JWTVerifyGetKey;
}
let held: HeldKeys | undefined;

/** The clients' keys that this isolate knows: they come with every Shard's answer that has newer ones. */
export const clientKeys = (): HeldKeys | undefined => held;

/** Takes newer keys; older ones change nothing. */
export function takeClientKeys(keys: ClientKeys): void {
	if (held && held.keys.version >= keys.version) return;
	held = { keys, get: createLocalJWKSet(keys.jwks as unknown as JSONWebKeySet) }; // jose's type asks for the fields that it checks itself
}
