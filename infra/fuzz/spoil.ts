import type { Dice } from './dice.ts';
import { RawJson } from './json-text.ts';
import type { Schema } from './operation.ts';

interface Place {
	holder: Record<string, unknown>;
	key: string;
	schema: Schema | undefined;
}

/** The schema of a field, where one can be told: of several branches any that has it. */
function inner(schema: Schema | undefined, key: string): Schema | undefined {
	for (const one of [schema, ...(schema?.anyOf ?? []), ...(schema?.oneOf ?? [])]) {
		const found = one?.properties?.[key] ?? one?.prefixItems?.[Number(key)] ?? one?.items ?? one?.additionalProperties;
		if (typeof found === 'object') return found;
	}
	return undefined;
}

/** Every place of a value, the value itself excluded; arrays count as holders by index. */
function placesOf(value: unknown, schema: Schema | undefined): Place[] {
	if (typeof value !== 'object' || value === null || value instanceof RawJson) return [];
	const holder = value as Record<string, unknown>;
	return Object.keys(holder).flatMap((key) => [{ holder, key, schema: inner(schema, key) }, ...placesOf(holder[key], inner(schema, key))]);
}

/** A text, number or list just beyond what its schema allows; undefined where the schema sets no limit: then a wrong type must do. */
function beyond(schema: Schema | undefined): unknown {
	for (const one of [schema, ...(schema?.anyOf ?? [])]) {
		if (one?.maxLength !== undefined) return 'x'.repeat(one.maxLength + 1);
		if (one?.maxItems !== undefined) return Array.from({ length: one.maxItems + 1 }, () => null);
		if (one?.maximum !== undefined) return one.maximum + 1;
		if (one?.exclusiveMinimum !== undefined) return one.exclusiveMinimum;
		if (one?.minimum !== undefined) return one.minimum - 1;
		if (one?.minLength !== undefined) return '';
	}
	return undefined;
}

const WRONG_TYPE: readonly unknown[] = ['5', 5, true, [], {}, [[]], ''];
const HOSTILE: readonly unknown[] = [
	...'1e400 -1e400 1e-400 -0 9007199254740993 -9007199254740993 123456789012345678901234567890 0.1e1'.split(' ').map((text) => new RawJson(text)),
	...['"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"a\\u0000b"', '"\\u001b[31m"', '"\\u2028"', '"\\ufeff"'].map((text) => new RawJson(text)),
	...[
		'\u{1f600}',
		'\u0301'.repeat(300),
		'\u202e',
		'../../etc/passwd',
		'%00',
		"' or 1=1 --",
		'<script>',
		'x'.repeat(65_536),
		'constructor',
		'__proto__',
		'toString',
	],
	...[{ toString: 1 }, { length: -1 }, { then: 1 }, Array.from({ length: 2000 }, () => 0)],
];

const own = (holder: object, key: string, value: unknown) =>
	Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });

/** Changes one place of a JSON object or list, in place, so that it hardly fits any more. @returns what was done. */
export function nearlyValid(value: object, options: { schema: Schema; dice: Dice }): string {
	const { schema, dice } = options;
	const place = dice.pick(placesOf(value, schema));
	if (!place || dice.chance(0.15)) {
		if (Array.isArray(value)) value.push(1);
		else own(value, dice.pick(['surprise', 'a/b~c', '', 'ID', 'constructor']), 1);
		return 'an unknown field';
	}
	const { holder, key } = place;
	switch (dice.below(4)) {
		case 0:
			if (Array.isArray(holder)) holder.splice(Number(key), 1);
			else delete holder[key];
			return 'a field dropped';
		case 1:
			holder[key] = null;
			return 'null';
		case 2:
			holder[key] = beyond(place.schema) ?? dice.pick(WRONG_TYPE);
			return 'beyond its limit';
		default:
			holder[key] = dice.pick(WRONG_TYPE);
			return 'a wrong type';
	}
}

/** Puts something hostile at one place of a JSON object or list, in place. @returns what was done. */
export function hostile(value: object, options: { schema: Schema; dice: Dice }): string {
	const { schema, dice } = options;
	const places = placesOf(value, schema);
	const objects = [value, ...places.map(({ holder, key }) => holder[key])].filter((one) => typeof one === 'object' && one !== null && !Array.isArray(one));
	const object = dice.pick(objects);
	if (object && dice.chance(0.3)) {
		if (dice.chance(0.5)) own(object, '__proto__', { role: 'admin', region_id: 'sg-airport' });
		else own(object, 'constructor', { prototype: { admin: true } });
		return 'a prototype';
	}
	const place = dice.pick(places);
	if (!place) return 'nothing to spoil';
	place.holder[place.key] = dice.pick(HOSTILE);
	return 'a hostile value';
}
