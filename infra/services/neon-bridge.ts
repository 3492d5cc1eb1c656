import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { WebSocketServer } from 'ws';
import type { Service } from './service.ts';

/** A Neon-shaped door in front of a plain PostgreSQL server. */
export interface NeonBridge extends Service {
	/** `host:port`, as `openNeon` takes it. */
	door: string;
}

/**
 * Carries each WebSocket to `/v1` as a TCP connection to the server of `url` and back, as Neon's own proxy does. The address that the client asks for is not
 * looked at: there is one server behind.
 */
export async function startNeonBridge(url: string): Promise<NeonBridge> {
	const { hostname, port } = new URL(url);
	const http = createServer((_, response) => response.writeHead(426).end());
	const sockets = new WebSocketServer({ server: http, path: '/v1', perMessageDeflate: false });
	sockets.on('connection', (socket) => {
		const server = connect({ host: hostname, port: Number(port || 5432), noDelay: true });
		socket.on('message', (data) => server.write(data as Buffer));
		server.on('data', (data) => socket.send(data));
		// One end gone ends the other, without a farewell where there was none.
		socket.on('close', () => server.destroy());
		socket.on('error', () => server.destroy());
		server.on('close', () => socket.close());
		server.on('error', () => socket.terminate());
	});
	await new Promise<void>((done) => http.listen(0, '127.0.0.1', done));
	return {
		url,
		version: 'a WebSocket bridge in the shape of Neon',
		door: `127.0.0.1:${(http.address() as AddressInfo).port}`,
		async stop() {
			for (const socket of sockets.clients) socket.terminate();
			http.closeAllConnections();
			await new Promise((done) => http.close(done));
		},
	};
}
