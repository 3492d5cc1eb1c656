import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** One address before several processes that do the same. */
export interface Balancer {
	url: string;
	/** A process at this port of 127.0.0.1 may take connections from now on. */
	add(port: number): void;
	close(): Promise<void>;
}

/** Gives each connection to the next port that takes it; where none does, and when the process at its other end dies, the client's connection is cut. */
export async function startBalancer(): Promise<Balancer> {
	const ports = new Set<number>();
	const open = new Set<Socket>();
	let turn = 0;

	async function serverSide(): Promise<Socket | undefined> {
		const all = [...ports];
		turn += 1;
		for (let n = 0; n < all.length; n++) {
			const socket = connect({ host: '127.0.0.1', port: all[(turn + n) % all.length]!, noDelay: true });
			const taken = await new Promise<boolean>((done) => socket.once('connect', () => done(true)).once('error', () => done(false)));
			if (taken) return socket;
		}
		return undefined;
	}
	function keep(socket: Socket, other: () => Socket | undefined): void {
		open.add(socket);
		socket.on('error', () => socket.destroy());
		socket.on('close', () => {
			open.delete(socket);
			other()?.destroy();
		});
	}
	const server = createServer({ noDelay: true, pauseOnConnect: true }, async (client) => {
		let upstream: Socket | undefined;
		keep(client, () => upstream);
		upstream = await serverSide();
		if (!upstream || client.destroyed) {
			upstream?.destroy();
			client.destroy();
			return;
		}
		keep(upstream, () => client);
		client.pipe(upstream);
		upstream.pipe(client);
	});
	await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
	return {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
		add: (port) => void ports.add(port),
		async close() {
			for (const socket of open) socket.destroy();
			await new Promise((done) => server.close(done));
		},
	};
}
