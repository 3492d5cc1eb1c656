import { type AddressInfo, createServer } from 'node:net';

/** A port that nobody listens on at the moment. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
	const server = createServer().listen(0, host);
	await new Promise((done) => server.once('listening', done));
	const { port } = server.address() as AddressInfo;
	await new Promise((done) => server.close(done));
	return port;
}
