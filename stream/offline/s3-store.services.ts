import { randomUUID } from 'node:crypto';
import { expect, inject, test } from 'vitest';
import { type S3Place, s3Place } from '#control-plane/s3-place.ts';
import { fileStoreContract } from './file-store.contract.ts';
import { s3Store } from './s3-store.ts';

declare module 'vitest' {
	interface ProvidedContext {
		s3: string;
	}
}

// Those of the server that infra/services/s3.ts starts; another server's stand in the environment.
const keys = {
	accessKeyId: process.env['AWS_ACCESS_KEY_ID'] ?? 'surgecast-test',
	secretAccessKey: process.env['AWS_SECRET_ACCESS_KEY'] ?? 'surgecast-test-secret',
};
const bucket = s3Place(inject('s3'), keys);
const place = (more: Partial<S3Place> = {}): S3Place => ({ ...bucket, prefix: `test-${randomUUID()}/`, ...more });

fileStoreContract('a bucket', async () => s3Store(place()));

test('a bucket lists more than one answer holds', async () => {
	const store = s3Store(place());
	const keysWritten = Array.from({ length: 1100 }, (_, n) => `finals/f-${String(n).padStart(4, '0')}`);
	for (let n = 0; n < keysWritten.length; n += 50) await Promise.all(keysWritten.slice(n, n + 50).map((key) => store.write(key, Buffer.from('x'))));
	expect(await store.list('finals/')).toEqual(keysWritten);
});

test('a bucket that refuses or is not there is told with its place and its word, never with a key', async () => {
	const calls = async (wrong: S3Place) => {
		const store = s3Store(wrong);
		return Promise.all(
			[store.write('a', Buffer.from('a')), store.read('a'), store.list('')].map((call) =>
				call.then(
					() => 'fine',
					(error: unknown) => String(error),
				),
			),
		);
	};
	const forged = await calls(place({ secretAccessKey: 'wrong-secret', prefix: 'p/' }));
	expect(forged[0]).toBe('Error: Cannot write a in s3://surgecast/p/: it answers 403 SignatureDoesNotMatch');
	const missing = await calls(place({ bucket: 'no-such-bucket', prefix: '' }));
	expect(missing[1]).toBe('Error: Cannot read a in s3://no-such-bucket/: it answers 404 NoSuchBucket');
	const nobody = await calls(place({ endpoint: 'http://127.0.0.1:9', prefix: '' }));
	expect(nobody[2]).toBe('Error: Cannot list files in s3://surgecast/: the bucket does not answer');
	for (const told of [...forged, ...missing, ...nobody]) expect(told).not.toMatch(/fine|secret|surgecast-test/);
});
