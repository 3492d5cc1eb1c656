import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { getRequestListener, RequestError } from '@hono/node-server';
import { limits } from '#schemas/limits.ts';
import { type ProblemCode, problem } from '#schemas/problem.ts';
import { type DoorApp, problemResponse } from './door.ts';
import { errorText, logLine } from './log-line.ts';

export interface ServedDoor {
	port: number;
	url: string;
	/** Takes no more connections, finishes the requests in flight within limits.door_close_ms, then cuts. */
	close(): Promise<void>;
}

const newTrace = () => randomBytes(16).toString('hex');

/** What Node's parser refuses never reaches the app: answered here, by hand. */
function refuseRaw(error: NodeJS.ErrnoException, socket: Socket): void {
	if (!socket.writable || error.code === 'ECONNRESET') {
		socket.destroy();
		return;
	}
	const [status, code, detail]: [number, ProblemCode, string] =
		error.code === 'HPE_HEADER_OVERFLOW'
			? [431, 'too_large', `The headers must not be over ${limits.header_bytes_max} bytes.`]
			: error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
				? [408, 'malformed_json', 'The request did not come in time.']
				: [400, 'malformed_json', 'This is not HTTP/1.1.'];
	const body = JSON.stringify(problem({ code, detail, status }, newTrace()));
	socket.end(
		`HTTP/1.1 ${status} Refused\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
	);
}

/**
 * Serves a door over HTTP/1.1. Headers, requests and connections are bounded (limits.door_*), so that slow or idle clients cannot lock others out.
 * @param options.port 0 for any free one.
 * @param options.headersMs how long a connection may stay without a byte, and a request without the end of its headers.
 * @param options.requestMs how long a request may take to come in.
 * @throws when the port is taken; the message names it.
 */
export async function serveDoor(app: DoorApp, options: { host: string; port: number; headersMs?: number; requestMs?: number }): Promise<ServedDoor> {
	const { host, port, headersMs = limits.door_headers_ms, requestMs = limits.door_request_ms } = options;
	const listener = getRequestListener((request, env) => app.fetch(request, { incoming: env.incoming as IncomingMessage }), {
		overrideGlobalObjects: false,
		// Only what happens outside of the app comes here: a target or Host header that is no URL.
		errorHandler: (error) => {
			if (error instanceof RequestError)
				return problemResponse({ code: 'malformed_json', detail: 'The request line or the Host header is not valid.' }, newTrace());
			logLine('error', { what: 'A request failed outside of the app', error: errorText(error) });
			return problemResponse({ code: 'internal', detail: 'This is our mistake, and it is logged.' }, newTrace());
		},
	});
	const server = createServer(
		{
			maxHeaderSize: limits.header_bytes_max,
			headersTimeout: headersMs,
			requestTimeout: requestMs,
			keepAliveTimeout: limits.door_keep_alive_ms,
			connectionsCheckingInterval: Math.min(1000, headersMs),
			noDelay: true,
		},
		(incoming, outgoing) => void listener(incoming, outgoing),
	);
	server.maxConnections = limits.door_connections_max;
	/** Every connection, with the number of its requests in flight. Node calls a connection that never sent anything busy; here it is idle. */
	const connections = new Map<Socket, number>();
	let closing = false;
	const count = (socket: Socket, by: number): void => {
		const requests = connections.get(socket);
		if (requests === undefined) return;
		connections.set(socket, requests + by);
		if (closing && requests + by === 0) socket.destroySoon(); // after what is still to be written
	};
	server.on('connection', (socket) => {
		connections.set(socket, 0);
		// Node's headersTimeout begins with the first byte: a connection that never sends one would stay for ever.
		const silent = setTimeout(() => {
			if (socket.bytesRead === 0) socket.destroy();
		}, headersMs);
		socket.on('close', () => {
			clearTimeout(silent);
			connections.delete(socket);
		});
	});
	server.on('request', ({ socket }, outgoing) => {
		count(socket, 1);
		outgoing.on('close', () => count(socket, -1));
	});
	server.on('clientError', refuseRaw);
	await new Promise<void>((resolve, reject) => {
		server.once('error', (error: NodeJS.ErrnoException) =>
			reject(error.code === 'EADDRINUSE' ? new Error(`Cannot listen on ${host}:${port}: the port is taken; wanted is a free one`, { cause: error }) : error),
		);
		server.listen({ host, port, backlog: 1024 }, resolve);
	});
	const { port: bound } = server.address() as AddressInfo;
	return {
		port: bound,
		url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
		close: () =>
			new Promise((resolve) => {
				closing = true;
				const cut = setTimeout(() => server.closeAllConnections(), limits.door_close_ms);
				server.close(() => {
					clearTimeout(cut);
					resolve();
				});
				for (const [socket, requests] of connections) if (requests === 0) socket.destroy();
			}),
	};
}
