import { type Agent, request } from 'node:http';
import type { FuzzRequest } from './make-request.ts';

export interface Answer {
	status: number;
	headers: Record<string, string | string[] | undefined>;
	text: string;
}

/** Sends a request as it is, nothing repaired. An Error instead of an answer: the connection was cut, or nothing came in time. */
export function send(
	url: string,
	{ method, target, headers, body, chunked }: FuzzRequest,
	options: { agent: Agent; within_ms: number },
): Promise<Answer | Error> {
	const { hostname, port } = new URL(url);
	return new Promise((resolve) => {
		// Said by hand: Node frames no body of a GET or DELETE by itself.
		const framing: Record<string, string | number> = !body ? {} : chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': body.length };
		let sent: ReturnType<typeof request>;
		try {
			sent = request({ hostname, port, method, path: target, headers: { ...headers, ...framing }, agent: options.agent, timeout: options.within_ms });
		} catch (error) {
			resolve(error as Error);
			return;
		}
		sent.on('response', (response) => {
			const chunks: Buffer[] = [];
			response.on('data', (chunk: Buffer) => chunks.push(chunk));
			response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(chunks).toString('utf8') }));
			response.on('error', resolve);
		});
		sent.on('timeout', () => sent.destroy(new Error(`no answer within ${options.within_ms} ms`)));
		sent.on('error', resolve); // after a response this changes nothing
		if (body && chunked) {
			const half = body.length >> 1;
			sent.write(body.subarray(0, half));
			sent.end(body.subarray(half));
		} else sent.end(body);
	});
}
