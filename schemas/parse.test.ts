import { expect, test } from 'vitest';
import * as z from 'zod';
import { limits } from './limits.ts';
import { parse, pointer } from './parse.ts';

const schema = z.strictObject({ a: z.number().optional(), text: z.string().optional(), inner: z.strictObject({ b: z.number() }).optional() });
const refused = (json: string, of: z.ZodType = schema) => {
	const result = parse(of, JSON.parse(json));
	return result.ok ? [] : result.errors.map(({ path }) => path);
};

test('pointer() escapes as RFC 6901 wants', () => {
	expect(pointer([])).toBe('');
	expect(pointer(['a/b', 0, 'c~d'])).toBe('/a~1b/0/c~0d');
});

test('parse() refuses unknown fields with a pointer to each', () => {
	expect(refused('{"x": 1, "a": 2, "y/z": 3}')).toEqual(['/x', '/y~1z']);
	expect(refused('{"inner": {"b": 1, "c": 2}}')).toEqual(['/inner/c']);
});

test('parse() refuses __proto__ and constructor at any level', () => {
	expect(refused('{"__proto__": {"a": 1}}')).toEqual(['/__proto__']);
	expect(refused('{"inner": {"b": 1, "__proto__": 5}}')).toEqual(['/inner/__proto__']);
	expect(refused('{"constructor": {"prototype": {"a": 1}}}')).toEqual(['/constructor']);
	expect(({} as Record<string, unknown>)['a']).toBeUndefined();
});

test('parse() turns -0 into 0 and refuses numbers beyond a double', () => {
	const result = parse(schema, JSON.parse('{"a": -0}'));
	expect(result.ok && Object.is(result.value.a, 0)).toBe(true);
	expect(refused('{"a": 1e400}')).toEqual(['/a']);
});

test('parse() refuses lone surrogates with their path', () => {
	expect(refused('{"text": "a\\ud800"}')).toEqual(['/text']);
	expect(refused('{"inner": {"b": "\\udc00"}}')).toEqual(['/inner/b']);
});

test('parse() refuses what is nested beyond reason without a stack overflow', () => {
	expect(refused(`{"a": ${'['.repeat(30_000)}${']'.repeat(30_000)}}`)).toEqual(['']);
	expect(refused(`${'{"a":'.repeat(limits.json_depth_max + 2)}1${'}'.repeat(limits.json_depth_max + 2)}`)).toEqual(['']);
});

test('parse() takes the last of a key given twice', () => {
	expect(parse(schema, JSON.parse('{"a": 1, "a": 2}'))).toEqual({ ok: true, value: { a: 2 } });
});

test('parse() never throws on data', () => {
	for (const json of ['null', '5', '"x"', '[]', '[[]]', 'true', '{"inner": null}', '{"inner": []}']) expect(parse(schema, JSON.parse(json)).ok).toBe(false);
});
