import { request } from 'node:http';
import type { Role } from '#schemas/role.ts';
import type { Doors } from '../doors.ts';

/** Sends a request but for the last byte of its body, so that it is in flight until `finish`. Resolves when the door has the rest. */
export async function holdRequest(
	product: Doors,
	options: { door: keyof Doors['urls']; role: Exclude<Role, 'service'>; method?: 'POST' | 'PUT'; path: string; body: unknown },
): Promise<{ finish(): Promise<{ status: number; text: string }> }> {
	const { door, role, method = 'POST', path, body } = options;
	const text = JSON.stringify(body);
	const sent = request(product.urls[door] + path, {
		method,
		agent: false,
		headers: { authorization: `Bearer ${await product.token(role)}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
	});
	const answered = new Promise<{ status: number; text: string }>((resolve, reject) => {
		sent.on('error', reject);
		sent.on('response', (response) => {
			let answer = '';
			response.setEncoding('utf8');
			response.on('data', (chunk) => (answer += chunk));
			response.on('error', reject);
			response.on('end', () => resolve({ status: response.statusCode ?? 0, text: answer }));
		});
	});
	answered.catch(() => undefined); // told by finish()
	await new Promise<void>((resolve) => sent.write(text.slice(0, -1), () => resolve()));
	// Written is not read: another request behind it on the same door is answered after the door has seen this one.
	await product.call(door, 'GET', '/healthz');
	return {
		finish() {
			sent.end(text.slice(-1));
			return answered;
		},
	};
}
