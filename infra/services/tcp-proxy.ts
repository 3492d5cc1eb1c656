import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A stretch of network between a client and a server that can be made to fail. */
export interface TcpProxy {
	port: number;
	/** Looks at what a client sends; when it answers true the server still gets it, but the client never hears of it: its connection is cut. */
	cutAfter: ((data: Buffer) => boolean) | undefined;
	/** The server's answers are swallowed and nothing is closed, of new connections too. */
	silent: boolean;
	stop(): Promise<void>;
}

/** Carries connections to a port of this machine. */
export async function startTcpProxy(target: number): Promise<TcpProxy> {
	const open = new Set<Socket>();
	const server = createServer((client) => {
		const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true });
		let cut = false;
		for (const socket of [client, upstream]) {
			open.add(socket);
			socket.on('error', () => socket.destroy());
			socket.on('close', () => open.delete(socket));
		}
		client.on('data', (data) => {
			cut ||= proxy.cutAfter?.(data as Buffer) ?? false;
			upstream.write(data);
		});
		upstream.on('data', (data) => {
			if (cut)
				client.destroy(); // the server has answered: what it was told is done
			else if (!proxy.silent) client.write(data);
		});
		client.on('close', () => upstream.destroy());
		upstream.on('close', () => {
			if (!proxy.silent) client.destroy();
		});
	});
	await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
	const proxy: TcpProxy = {
		port: (server.address() as AddressInfo).port,
		cutAfter: undefined,
		silent: false,
		async stop() {
			for (const socket of open) socket.destroy();
			await new Promise((done) => server.close(done));
		},
	};
	return proxy;
}
