import { AwsClient } from 'aws4fetch';
import type { S3Place } from '#control-plane/s3-place.ts';
import { limits } from '#schemas/limits.ts';
import type { FileStore } from './file-store.ts';

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** The texts of an element, in order; S3's answers are flat where we read them. */
const textsOf = (xml: string, element: string): string[] =>
	[...xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))].map(([, text = '']) =>
		text.replaceAll(/&(?:(amp|lt|gt|quot|apos)|#(\d+)|#x([\da-f]+));/gi, (_, name: string | undefined, decimal: string | undefined, hex: string | undefined) =>
			name ? ENTITIES[name.toLowerCase()]! : String.fromCodePoint(decimal ? Number(decimal) : Number.parseInt(hex!, 16)),
		),
	);

const keyPath = (key: string): string => key.split('/').map(encodeURIComponent).join('/');

/** Files in a bucket, which must be there already. One attempt a call: whoever calls comes again. */
export function s3Store({ endpoint, bucket, prefix, region, accessKeyId, secretAccessKey }: S3Place): FileStore {
	const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3', retries: 0 });
	const place = `s3://${bucket}/${prefix}`;
	const root = `${endpoint}/${bucket}`;

	/** @throws unless the answer's status is one of these. */
	async function call(
		what: string,
		url: string,
		{ wanted, ...init }: { wanted: readonly number[]; method?: string; body?: Uint8Array<ArrayBuffer> },
	): Promise<Response> {
		const refuse = (why: string, cause?: unknown) => new Error(`Cannot ${what} in ${place}: ${why}`, { cause });
		let response: Response;
		try {
			response = await client.fetch(url, { ...init, signal: AbortSignal.timeout(limits.offline_call_ms) });
		} catch (cause) {
			throw refuse('the bucket does not answer', cause);
		}
		if (wanted.includes(response.status)) return response;
		const [code] = textsOf((await response.text().catch(() => '')).slice(0, limits.body_bytes_max), 'Code');
		throw refuse(`it answers ${response.status}${code ? ` ${code}` : ''}`);
	}

	return {
		place,
		async write(key, bytes) {
			const response = await call(`write ${key}`, `${root}/${keyPath(prefix + key)}`, { method: 'PUT', body: new Uint8Array(bytes), wanted: [200] });
			await response.arrayBuffer();
		},
		async read(key) {
			const response = await call(`read ${key}`, `${root}/${keyPath(prefix + key)}`, { wanted: [200, 404] });
			if (response.status === 200) return new Uint8Array(await response.arrayBuffer());
			const [code] = textsOf(await response.text(), 'Code');
			if (code === 'NoSuchKey') return undefined;
			throw new Error(`Cannot read ${key} in ${place}: it answers 404 ${code ?? ''}`);
		},
		async remove(key) {
			await (await call(`remove ${key}`, `${root}/${keyPath(prefix + key)}`, { method: 'DELETE', wanted: [200, 204] })).arrayBuffer();
		},
		async list(wanted) {
			const keys: string[] = [];
			for (let token: string | undefined; ; ) {
				const query = new URLSearchParams({ 'list-type': '2', prefix: prefix + wanted, ...(token === undefined ? {} : { 'continuation-token': token }) });
				const xml = await (await call('list files', `${root}?${query}`, { wanted: [200] })).text();
				keys.push(...textsOf(xml, 'Key').map((key) => key.slice(prefix.length)));
				[token] = textsOf(xml, 'NextContinuationToken');
				if (textsOf(xml, 'IsTruncated')[0] !== 'true' || token === undefined) return keys.sort();
			}
		},
	};
}
