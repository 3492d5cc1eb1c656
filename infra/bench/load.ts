import { connect, type Socket } from 'node:net';

export interface Load {
	requests: number;
	/** Milliseconds, one a request. */
	latencies: number[];
	seconds: number;
}

/** One keep-alive connection: sends the request again as soon as the answer is whole. Answers must carry content-length or be chunked. */
function client(options: { port: number; request: Buffer; until: number; latencies: number[]; expect: number }): Promise<void> {
	const { port, request, until, latencies, expect } = options;
	return new Promise((resolve, reject) => {
		const socket: Socket = connect({ host: '127.0.0.1', port, noDelay: true });
		let buffer = '';
		let sent = 0;
		const send = () => {
			if (performance.now() >= until) {
				socket.end();
				resolve();
				return;
			}
			sent = performance.now();
			socket.write(request);
		};
		socket.setEncoding('latin1');
		socket.on('connect', send);
		socket.on('error', reject);
		socket.on('data', (chunk: string) => {
			buffer += chunk;
			const head = buffer.indexOf('\r\n\r\n');
			if (head < 0) return;
			const length = /\r\ncontent-length: (\d+)/i.exec(buffer.slice(0, head + 2))?.[1];
			const end = length === undefined ? (buffer.endsWith('0\r\n\r\n') ? buffer.length : -1) : head + 4 + Number(length);
			if (end < 0 || buffer.length < end) return;
			if (Number(buffer.slice(9, 12)) !== expect) {
				socket.destroy();
				reject(new Error(`answers ${buffer.slice(0, 400)}`));
				return;
			}
			latencies.push(performance.now() - sent);
			buffer = '';
			send();
		});
	});
}

/** Sends one request over and over on `connections` keep-alive connections for `ms`. @throws on any other status than `expect`. */
export async function load(port: number, options: { request: Buffer; connections: number; ms: number; expect?: number }): Promise<Load> {
	const latencies: number[] = [];
	const started = performance.now();
	await Promise.all(
		Array.from({ length: options.connections }, () =>
			client({ port, request: options.request, until: started + options.ms, latencies, expect: options.expect ?? 200 }),
		),
	);
	return { requests: latencies.length, latencies, seconds: (performance.now() - started) / 1000 };
}
