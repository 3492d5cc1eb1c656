/** Where objects are kept: a bucket of an S3-compatible store. */
export interface S3Place {
	/** `https://host[:port]`, without the bucket. */
	endpoint: string;
	bucket: string;
	/** Before every key; empty or ending in `/`. */
	prefix: string;
	region: string;
	accessKeyId: string;
	secretAccessKey: string;
}

/**
 * Reads `s3://bucket[/prefix][?endpoint=https://host:port&region=us-east-1]`; the keys come from the environment beside it. Without an endpoint it is Amazon's of
 * the region. @throws Error that says what is wanted, never with a key.
 */
export function s3Place(url: string, keys: { accessKeyId: string | undefined; secretAccessKey: string | undefined }): S3Place {
	const wanted = 's3://bucket[/prefix][?endpoint=https://host:port&region=NAME]';
	const refuse = (what: string) => new Error(`${what}, wanted: ${wanted}`);
	const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([^?]*))?(?:\?(.*))?$/.exec(url);
	if (!match) throw refuse('the URL cannot be read');
	const [, bucket = '', path = '', query = ''] = match;
	const { region = 'us-east-1', endpoint = `https://s3.${region}.amazonaws.com`, ...others } = Object.fromEntries(new URLSearchParams(query));
	const [unknown] = Object.keys(others);
	if (unknown !== undefined) throw refuse(`"${unknown}" is no setting`);
	if (!/^https?:\/\/[^/?#@]+$/.test(endpoint)) throw refuse('the endpoint is no https://host:port');
	if (!/^[a-z0-9-]+$/.test(region)) throw refuse(`region is "${region}"`);
	const { accessKeyId, secretAccessKey } = keys;
	if (!accessKeyId || !secretAccessKey) throw new Error('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY beside it');
	const prefix = path.replace(/^\/+|\/+$/g, '');
	return { endpoint, bucket, prefix: prefix === '' ? '' : `${prefix}/`, region, accessKeyId, secretAccessKey };
}
