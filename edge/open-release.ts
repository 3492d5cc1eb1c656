import { compactVerify } from 'jose';
import { parse } from '#schemas/parse.ts';
import { type Release, release } from '#schemas/release.ts';
import { serviceKeys } from './service-keys.ts';

/**
 * The release inside a JWS of the control plane.
 * @throws when the signature is not the control plane's or the content is no release.
 */
export async function openRelease(jws: string, env: { SERVICE_JWKS: string }): Promise<Release> {
	const { payload, protectedHeader } = await compactVerify(jws, serviceKeys(env), { algorithms: ['EdDSA'] });
	if (protectedHeader.kid !== 'control-plane') throw new Error(`Cannot take a release: signed by "${protectedHeader.kid}", wanted "control-plane"`);
	const parsed = parse(release, JSON.parse(new TextDecoder().decode(payload)));
	if (!parsed.ok) throw new Error(`Cannot take a release: ${parsed.errors[0]?.path} ${parsed.errors[0]?.message}`);
	return parsed.value;
}
