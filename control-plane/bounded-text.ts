/**
 * The text of an answer from outside.
 * @throws when it has more than `bytesMax` bytes, of which no more is read.
 */
export async function boundedText(response: Response, bytesMax: number): Promise<string> {
	const decoder = new TextDecoder();
	let text = '';
	let bytes = 0;
	for await (const chunk of response.body ?? []) {
		bytes += chunk.length;
		if (bytes > bytesMax) throw new Error(`it has more than ${bytesMax} bytes`);
		text += decoder.decode(chunk, { stream: true });
	}
	return text + decoder.decode();
}
