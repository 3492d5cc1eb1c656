// Bindings of the workerd test projects: keys of this run alone, so that a test can make tokens of every role.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';

const jwk = (key: KeyObject, kid: string) => ({ ...key.export({ format: 'jwk' }), kid, alg: 'EdDSA', use: 'sig' });
const pair = (kid: string) => {
	const { publicKey, privateKey } = generateKeyPairSync('ed25519');
	return { public: jwk(publicKey, kid), private: jwk(privateKey, kid) };
};
const [issuer, controlPlane, stream, edge] = [pair('test-issuer'), pair('control-plane'), pair('stream'), pair('edge')];

export const testBindings = {
	PARTITIONS: '8',
	AUTH_ISSUER: 'surgecast-local',
	AUTH_AUDIENCE: 'surgecast',
	INGEST_URL: 'http://127.0.0.1:1',
	USER_PEPPER: 'a pepper for tests',
	SERVICE_JWKS: JSON.stringify({ keys: [controlPlane.public, stream.public, edge.public] }),
	EDGE_SERVICE_KEY: JSON.stringify(edge.private),
	TEST_KEYS: JSON.stringify({ issuer, controlPlane, stream, edge }),
};
