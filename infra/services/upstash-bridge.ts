// Upstash's REST door in front of a plain Redis, as far as this product uses it: a command, a pipeline, a transaction; a bearer token; base64 where asked for.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createClient, RESP_TYPES } from 'redis';

/** What becomes of a request before Redis hears of it: served, failed with a status, dropped with its connection, or never answered. */
export type Fate = 'serve' | { status: number; body: string } | 'drop' | 'hang';

export interface UpstashBridge {
	/** As UPSTASH_REDIS_REST_URL wants it. */
	url: string;
	/** As UPSTASH_REDIS_REST_TOKEN wants it. */
	token: string;
	/** The commands of every request that came, a request each. */
	readonly requests: unknown[][][];
	/** Decides the fate of the requests to come; may wait. */
	fate: (commands: unknown[][]) => Fate | Promise<Fate>;
	close(): Promise<void>;
}

type Answer = { result: unknown } | { error: string };

/** A reply of Redis as the door writes it: numbers stay, texts may be in base64, but for an OK at the top. */
function encoded(reply: unknown, { base64, top = true }: { base64: boolean; top?: boolean }): unknown {
	if (Buffer.isBuffer(reply)) return !base64 || (top && reply.equals(Buffer.from('OK'))) ? reply.toString('utf8') : reply.toString('base64');
	if (Array.isArray(reply)) return reply.map((one) => encoded(one, { base64, top: false }));
	if (reply instanceof Error) return reply.message;
	return reply ?? null;
}
const textOf = (argument: unknown): string => (typeof argument === 'object' ? JSON.stringify(argument) : String(argument));

/** @param options.redis_url of the plain server; while it is away commands fail, as Upstash's do. */
export async function startUpstashBridge(options: { redis_url: string; token?: string }): Promise<UpstashBridge> {
	const { redis_url, token = 'token-of-the-tests' } = options;
	const connection = createClient({ url: redis_url, RESP: 2, disableOfflineQueue: true, socket: { reconnectStrategy: 20 } }).on('error', () => undefined);
	await connection.connect();
	const redis = connection.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.SIMPLE_STRING]: Buffer });

	async function run(command: unknown[], base64: boolean): Promise<Answer> {
		try {
			return { result: encoded(await redis.sendCommand(command.map(textOf)), { base64 }) };
		} catch (error) {
			return { error: error instanceof Error ? error.message : String(error) };
		}
	}
	/** Written in one turn on one connection, so nothing comes between them. */
	async function transaction(commands: unknown[][], base64: boolean): Promise<Answer[] | { error: string }> {
		const [, , executed] = await Promise.all([run(['MULTI'], base64), Promise.all(commands.map((command) => run(command, base64))), run(['EXEC'], base64)]);
		if ('error' in executed) return executed;
		return (executed.result as unknown[]).map((result) => ({ result }));
	}

	const bridge: UpstashBridge = { url: '', token, requests: [], fate: () => 'serve', close };
	async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const answer = (status: number, body: unknown) => {
			if (response.destroyed) return;
			response.writeHead(status, { 'content-type': 'application/json' }).end(typeof body === 'string' ? body : JSON.stringify(body));
		};
		const chunks: Buffer[] = [];
		for await (const chunk of request) chunks.push(chunk as Buffer);
		let body: unknown;
		try {
			body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
		} catch {
			body = undefined;
		}
		const path = request.url?.split('?')[0];
		const commands = (path === '/' ? [body] : body) as unknown[][];
		bridge.requests.push(commands);
		const fate = await bridge.fate(commands);
		if (fate === 'hang') return;
		if (fate === 'drop') return void request.socket.destroy();
		if (fate !== 'serve') return answer(fate.status, fate.body);
		if (request.headers.authorization !== `Bearer ${token}`) return answer(401, { error: 'WRONGPASS the token is missing or another one' });
		if (!Array.isArray(commands) || !commands.every((command) => Array.isArray(command) && command.length > 0))
			return answer(400, { error: 'ERR a command is a list of arguments' });
		const base64 = request.headers['upstash-encoding'] === 'base64';
		switch (path) {
			case '/': {
				const result = await run(commands[0]!, base64);
				return answer('error' in result ? 400 : 200, result);
			}
			case '/pipeline':
				return answer(200, await Promise.all(commands.map((command) => run(command, base64))));
			case '/multi-exec': {
				const results = await transaction(commands, base64);
				return answer('error' in results ? 400 : 200, results);
			}
			default:
				return answer(404, { error: `ERR there is no ${path}` });
		}
	}
	const server = createServer((request, response) => {
		serve(request, response).catch(() => response.destroy()); // the client went away
	});
	async function close(): Promise<void> {
		server.closeAllConnections();
		await new Promise((done) => server.close(done));
		connection.destroy();
	}
	await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
	bridge.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	return bridge;
}
