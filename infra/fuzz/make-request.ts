import { gzipSync } from 'node:zlib';
import { limits } from '#schemas/limits.ts';
import { sampleChampion } from '../sample/champion.ts';
import type { Dice } from './dice.ts';
import { jsonText } from './json-text.ts';
import type { Operation } from './operation.ts';
import { hostile, nearlyValid } from './spoil.ts';
import { validValue } from './valid-value.ts';

export interface FuzzRequest {
	/** What is unusual about it; empty for one that should be answered 2xx. */
	kind: string[];
	method: string;
	/** Path and query as they are sent. */
	target: string;
	headers: Record<string, string>;
	body: Buffer | undefined;
	/** Sent in chunks, without a length. */
	chunked: boolean;
	/** The server's HTTP parser may refuse it before any route is known: 400 or 431. */
	breaksHttp: boolean;
}

/** What the deployment has that its documents cannot say. */
export interface Known {
	/** Tokens by role. */
	tokens: Readonly<Record<string, string>>;
	/** Ids of stored decisions. */
	decisions: readonly string[];
}

const longerThanHeaders = 'y'.repeat(limits.header_bytes_max + 1024);
const JSON_TYPE = 'application/json';
const NDJSON = 'application/x-ndjson';

const BAD_PARAMS = [
	'%2F',
	'a%2Fb',
	'%00',
	'..',
	'%2e%2e',
	'.',
	'%zz',
	'%',
	'%E0%A4%A',
	'%ff',
	'%ED%A0%80',
	'%F0%9F%9A%95',
	'a%0d%0aset-cookie:%20a=b',
	'%20',
	'*',
	'-1',
	'0',
	'1e3',
	'01',
	'2147483648',
	'9007199254740993',
	'999999999999999999999',
	'__proto__',
	'constructor',
	'a;b=c',
	'%252e',
	"'--",
	'x'.repeat(300),
	longerThanHeaders,
];
const BAD_VALUES = [
	'',
	'%00',
	'%zz',
	'%ff',
	'-1',
	'0',
	'501',
	'1e9',
	'999999999',
	'99999999999999999999',
	'x'.repeat(301),
	'MTI',
	'WzEsIlx1MDAwMCJd',
	'bnVsbA',
	'OTAwNzE5OTI1NDc0MDk5MQ',
	'yesterday',
	'2026-02-30T00:00:00Z',
	'%F0%9F%9A%95',
	'+',
	'a%26b%3Dc',
	longerThanHeaders,
];
const HEADERS: readonly (readonly [name: string, value: string])[] = [
	['traceparent', '00-zz'],
	['traceparent', `00-${'0'.repeat(32)}-${'0'.repeat(16)}-00`],
	['traceparent', `ff-${'a'.repeat(32)}-${'b'.repeat(16)}-01-${'c'.repeat(2000)}`],
	['tracestate', 'x='.repeat(1000)],
	['host', 'a b'],
	['host', 'example.com:99999'],
	['x-forwarded-for', "1.2.3.4, ' or 1=1"],
	['x-forwarded-proto', 'javascript'],
	['x-http-method-override', 'DELETE'],
	['accept', 'image/png'],
	['accept-encoding', 'br;q=1, *;q=0'],
	['range', 'bytes=0-1,-5'],
	['if-none-match', '*'],
	['cookie', 'a=b; '.repeat(300)],
	['origin', 'null'],
	['upgrade', 'h2c'],
	['x-long', longerThanHeaders],
];
const AUTHORIZATIONS = [
	'Bearer',
	'Bearer ',
	'Bearer a.b.c',
	'Basic YTpi',
	'bearer x',
	`Bearer ${'a'.repeat(4000)}.b.c`,
	'Bearer eyJhbGciOiJub25lIn0.e30.',
	'\u00ff',
];
const TYPES = [
	'',
	'text/plain',
	'application/xml',
	'application/jsonp',
	'application/json; charset=utf-16',
	'multipart/form-data',
	'multipart/form-data; boundary=',
	';',
	'a'.repeat(500),
];
const METHODS = ['HEAD', 'OPTIONS', 'TRACE', 'PATCH', 'DELETE', 'PUT', 'POST', 'GET', 'PROPFIND'];

const nested = (open: string, close: string, inner = '') => `${open.repeat(30_000)}${inner}${close.repeat(30_000)}`;

/** Bodies that are wrong as a whole. `good` is the JSON of one that is not. */
function badBody(good: string, dice: Dice): { kind: string; body: Buffer; headers?: Record<string, string> } {
	const text = (kind: string, body: string) => ({ kind, body: Buffer.from(body) });
	const makers = [
		() => text('empty', ''),
		() => text('half a document', good.slice(0, Math.max(1, dice.below(good.length)))),
		() => text('something behind it', `${good}]`),
		() => text('no JSON', dice.pick(['{', 'NaN', "{'a':1}", '\u0000', 'undefined', '{"a":1,}', '//\n{}', '01', '"\n"'])),
		() => text('another JSON', dice.pick(['null', '[]', '""', '0', 'true', '[[]]', '{}'])),
		() => text('a byte order mark', `\ufeff${good}`),
		() => ({ kind: 'no UTF-8', body: Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80]), Buffer.from('"}')]) }),
		() => ({ kind: 'UTF-16', body: Buffer.from(good, 'utf16le') }),
		() => text('30,000 lists deep', nested('[', ']')),
		() => text('30,000 objects deep', nested('{"a":', '}', '1')),
		() => text('a deep field', good.replace('{', `{"deep":${nested('[', ']')},`)),
		() => text('each key twice', good.replace('{', `{${good.slice(1, -1)}${good.length > 2 ? ',' : ''}`)),
		() => text('over the limit', `"${'x'.repeat(limits.body_bytes_max)}"`),
		() => text('over the edge limit', `"${'x'.repeat(limits.edge_body_bytes_max)}"`),
		() => text('spaces only', ' '.repeat(limits.body_bytes_max + 1)),
		() => text('a thousand and one', `[${Array.from({ length: limits.events_batch_max + 1 }, () => good).join(',')}]`),
		() => ({ kind: 'gzip', body: gzipSync(good), headers: { 'content-encoding': 'gzip' } }),
		() => ({ kind: 'a gzip bomb', body: gzipSync(Buffer.alloc(10_000_000)), headers: { 'content-encoding': 'gzip' } }),
		() => ({ kind: 'two encodings', body: Buffer.from(good), headers: { 'content-encoding': 'identity, br' } }),
		() => ({ kind: 'another type', body: Buffer.from(good), headers: { 'content-type': dice.pick(TYPES) ?? '' } }),
	];
	return dice.pick(makers)!();
}

interface Part {
	name: string;
	value: Buffer | string;
	type?: string;
}

function multipart(parts: readonly Part[], boundary = 'fuzz'): Buffer {
	const chunks = parts.flatMap(({ name, value, type }) => [
		Buffer.from(`--${boundary}\r\ncontent-disposition: form-data; name="${name}"; filename="f"\r\n${type ? `content-type: ${type}\r\n` : ''}\r\n`),
		Buffer.from(value),
		Buffer.from('\r\n'),
	]);
	return Buffer.concat([...chunks, Buffer.from(`--${boundary}--\r\n`)]);
}

const champion = sampleChampion();

/** A model with its manifest, whole or broken in one way. */
function modelForm(dice: Dice): { kind: string[]; body: Buffer; type: string } {
	const type = 'multipart/form-data; boundary=fuzz';
	const manifest = { ...JSON.parse(champion?.manifest ?? '{}'), version: 100 + dice.below(3) };
	const bytes = Buffer.from(champion?.bytes ?? []);
	const parts = (text: string, model: Buffer | string = bytes): Part[] => [
		{ name: 'manifest', value: text, type: JSON_TYPE },
		{ name: 'model', value: model },
	];
	const text = JSON.stringify(manifest);
	const whole = multipart(parts(text));
	const flipped = Buffer.from(bytes);
	flipped[dice.below(flipped.length)]! ^= 1 << dice.below(8);
	const spoiled = () => {
		const what = dice.chance(0.5) ? hostile(manifest, { schema: {}, dice }) : nearlyValid(manifest, { schema: {}, dice });
		return { kind: [`manifest: ${what}`], body: multipart(parts(jsonText(manifest))), type };
	};
	const makers = [
		() => ({ kind: [], body: whole, type }),
		spoiled,
		spoiled,
		spoiled,
		() => ({ kind: ['a flipped bit'], body: multipart(parts(text, flipped)), type }),
		() => ({ kind: ['half a model'], body: multipart(parts(text, bytes.subarray(0, bytes.length >> 1))), type }),
		() => ({ kind: ['an empty model'], body: multipart(parts(text, '')), type }),
		() => ({ kind: ['no model'], body: multipart(parts(text).slice(0, 1)), type }),
		() => ({ kind: ['no manifest'], body: multipart(parts(text).slice(1)), type }),
		() => ({ kind: ['no parts'], body: multipart([]), type }),
		() => ({ kind: ['a stranger part'], body: multipart([...parts(text), { name: '__proto__', value: 'x' }]), type }),
		() => ({ kind: ['a manifest twice'], body: multipart([{ name: 'manifest', value: '{}' }, ...parts(text)]), type }),
		() => ({ kind: ['broken off'], body: whole.subarray(0, dice.below(whole.length)), type }),
		() => ({ kind: ['another boundary'], body: whole, type: 'multipart/form-data; boundary=other' }),
		() => ({ kind: ['no boundary'], body: whole, type: 'multipart/form-data' }),
		() => ({ kind: ['no form'], body: Buffer.from('hello'), type }),
		() => ({ kind: ['empty'], body: Buffer.alloc(0), type }),
		() => ({ kind: ['over the limit'], body: multipart(parts(text, Buffer.alloc(limits.model_body_bytes_max))), type }),
		() => ({ kind: ['JSON'], body: Buffer.from(text), type: JSON_TYPE }),
	];
	return dice.pick(makers)!();
}

function bodyOf(operation: Operation, dice: Dice): { kind: string[]; body: Buffer | undefined; headers: Record<string, string> } {
	const types = Object.keys(operation.bodies);
	const type = dice.pick(types);
	if (type === undefined) return { kind: [], body: undefined, headers: {} };
	if (type === 'multipart/form-data') {
		const { kind, body, type: sent } = modelForm(dice);
		return { kind, body, headers: { 'content-type': sent } };
	}
	const schema = operation.bodies[JSON_TYPE]?.schema ?? {};
	const make = () => validValue(schema, { dice });
	const lines = type === NDJSON;
	const headers = { 'content-type': lines ? NDJSON : dice.pick([JSON_TYPE, 'Application/JSON; charset=utf-8']) };
	const roll = dice.below(10);
	if (roll < 4) return { kind: [], body: Buffer.from(lines ? [make(), make()].map(jsonText).join('\n') : jsonText(make())), headers };
	if (roll < 9) {
		const value = make();
		if (typeof value !== 'object' || value === null) return { kind: ['a wrong type'], body: Buffer.from(jsonText(value)), headers };
		const what = roll < 7 ? nearlyValid(value, { schema, dice }) : hostile(value, { schema, dice });
		const text = jsonText(value);
		return { kind: [what], body: Buffer.from(lines ? `${text}\n{"event_id":\n\n${jsonText(make())}` : text), headers };
	}
	const bad = badBody(jsonText(make()), dice);
	return { kind: [bad.kind], body: bad.body, headers: { ...headers, ...bad.headers } };
}

/**
 * A request for one call of a door: valid by its schema, nearly valid, or hostile in its body, path, query, headers, method or framing.
 */
export function makeRequest(operation: Operation, { dice, known }: { dice: Dice; known: Known }): FuzzRequest {
	const { tokens } = known;
	const inPath: Record<string, readonly string[]> = { name: ['demand', 'fuzz-1'], version: ['1', '1', '1', '100'], decision_id: known.decisions };
	const { kind: bodyKind, body, headers: bodyHeaders } = bodyOf(operation, dice);
	const kind = [...bodyKind];
	let breaksHttp = false;
	let path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
		if (!dice.chance(0.15)) return encodeURIComponent(String(dice.pick(inPath[name] ?? []) ?? validValue({ type: 'string' }, { name, dice })));
		kind.push('a path parameter');
		return dice.pick(BAD_PARAMS) ?? '';
	});
	if (dice.chance(0.03)) {
		kind.push('another path');
		path = dice.pick([
			`/${path}`,
			`${path}/`,
			`${path}//`,
			path.toUpperCase(),
			`${path};x`,
			`${path}/%2e%2e`,
			`/.${path}`,
			`${path}%00`,
			path.replace('a', '%61'),
		]);
	}
	const query: string[] = [];
	let from: string | undefined;
	for (const [name, schema] of Object.entries(operation.query)) {
		const roll = dice.below(6);
		if ((roll < 2 && name !== 'cursor') || (roll > 2 && operation.wanted.includes(name))) {
			// The end of a time comes after its beginning, by up to a day, most of the time.
			const soon = name === 'to' && from !== undefined && dice.chance(0.8);
			const value = soon ? new Date(Date.parse(from!) + (1 + dice.below(24 * 60)) * 60_000).toISOString() : String(validValue(schema, { name, dice }));
			if (name === 'from') from = value;
			query.push(`${name}=${encodeURIComponent(value)}`);
		}
		if (roll === 2) {
			kind.push('a query parameter');
			query.push(...Array.from({ length: 1 + dice.below(2) }, () => `${name}=${dice.pick(BAD_VALUES)}`));
		}
	}
	if (dice.chance(0.05)) {
		kind.push('an unknown query parameter');
		query.push(dice.pick(['__proto__=1', 'constructor[prototype]=1', '=', '&&&', '%00=%00', 'surprise']));
	}
	const headers: Record<string, string> = { ...bodyHeaders };
	if (headers['content-type'] === '') delete headers['content-type'];
	const right = operation.role === null ? undefined : tokens[operation.role];
	if (dice.chance(0.08)) {
		kind.push('another token');
		headers['authorization'] = dice.chance(0.5) ? (dice.pick(AUTHORIZATIONS) ?? '') : `Bearer ${dice.pick(Object.values(tokens))}`;
		if (dice.chance(0.2)) delete headers['authorization'];
	} else if (right !== undefined) headers['authorization'] = `Bearer ${right}`;
	if (dice.chance(0.1)) {
		const [name, value] = dice.pick(HEADERS)!;
		kind.push(`header ${name}`);
		headers[name] = value;
		breaksHttp ||= name === 'host';
	}
	let method = operation.method;
	if (dice.chance(0.06)) {
		method = dice.pick(METHODS) ?? method;
		if (method !== operation.method) kind.push(`method ${method}`);
	}
	const target = query.length > 0 ? `${path}?${query.join('&')}` : path;
	// The request line counts as a header.
	breaksHttp ||=
		target.length + Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0) > limits.header_bytes_max - 200;
	return { kind, method, target, headers, body, chunked: body !== undefined && dice.chance(0.15), breaksHttp };
}
