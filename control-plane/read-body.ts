import type { IncomingMessage } from 'node:http';

/**
 * The bytes of a request's body; 'too_large' as soon as more than `bytesMax` are announced or have come, without keeping them; 'broken_off' when the client
 * goes away, or is cut off for being slow, before the end.
 * @param incoming Node's own request where there is one: reading it costs a fifth of its web stream.
 */
export async function readBody(
	request: Request,
	{ incoming, bytesMax }: { incoming: IncomingMessage | undefined; bytesMax: number },
): Promise<Buffer | 'too_large' | 'broken_off'> {
	const announced = request.headers.get('content-length');
	if (announced !== null && Number(announced) > bytesMax) return 'too_large';
	const source: AsyncIterable<Uint8Array> | null = incoming ?? request.body;
	const chunks: Uint8Array[] = [];
	let bytes = 0;
	if (incoming) {
		return new Promise((resolve) => {
			incoming.on('data', (chunk: Buffer) => {
				bytes += chunk.length;
				if (bytes <= bytesMax) chunks.push(chunk);
				else {
					chunks.length = 0;
					incoming.pause();
					resolve('too_large');
				}
			});
			incoming.on('end', () => resolve(Buffer.concat(chunks, bytes)));
			incoming.on('error', () => resolve('broken_off'));
			incoming.on('close', () => resolve('broken_off')); // after `end` this changes nothing
		});
	}
	if (source === null) return Buffer.alloc(0);
	try {
		for await (const chunk of source) {
			bytes += chunk.length;
			if (bytes > bytesMax) return 'too_large';
			chunks.push(chunk);
		}
	} catch {
		return 'broken_off';
	}
	return Buffer.concat(chunks, bytes);
}
