import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files, PEM. */
export interface TestCertificates {
	/** The authority that a client must trust. */
	ca_pem: string;
	/** Key and certificate of a server at 127.0.0.1, signed by it. */
	server_pem: string;
}

/** Makes an authority that nobody knows and a server's certificate by it, by openssl, good for a day. */
export function makeTestCertificates(directory: string): TestCertificates {
	mkdirSync(directory, { recursive: true });
	const file = (name: string) => join(directory, name);
	const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
	const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
	const ca = file('ca.pem');
	openssl('req', '-x509', ...key, '-keyout', file('ca.key'), '-out', ca, '-days', '1', '-subj', '/CN=an authority of the tests');
	openssl('req', ...key, '-keyout', file('server.key'), '-out', file('server.csr'), '-subj', '/CN=a server of the tests');
	writeFileSync(file('server.ext'), 'subjectAltName=IP:127.0.0.1\n');
	const signing = ['-CA', ca, '-CAkey', file('ca.key'), '-CAcreateserial', '-extfile', file('server.ext'), '-days', '1'];
	openssl('x509', '-req', '-in', file('server.csr'), ...signing, '-out', file('server.crt'));
	writeFileSync(file('server.pem'), readFileSync(file('server.key'), 'utf8') + readFileSync(file('server.crt'), 'utf8') + readFileSync(ca, 'utf8'));
	return { ca_pem: ca, server_pem: file('server.pem') };
}
