import type { Dice } from './dice.ts';
import type { Schema } from './operation.ts';

// What no schema says: ids that exist, and values that fit together. Region sg-airport and the sample's rule sets are left out: the price that is watched
// while the fuzz runs comes from them.
const SURGE = {
	min_multiplier: 0.5,
	max_multiplier: 3,
	horizon_minutes: 15,
	demand_curve: [
		[0, -0.1],
		[0.5, 0],
		[1, 0.9],
	],
	supply_curve: [
		[0, 0.3],
		[0.5, 0],
		[1, -0.2],
	],
};
const known: Record<string, readonly unknown[]> = {
	region_id: ['sg-central', 'nyc-132', 'nyc-161', 'fuzz-1', 'fuzz-2', 'fuzz-3'],
	product_type: ['standard_ride'],
	time_zone: ['Asia/Singapore', 'America/New_York', 'UTC'],
	rule_set: ['city', 'nyc'],
	holidays: ['US', 'US-NY', 'SG', null],
	profile: [null, Array.from({ length: 168 }, (_, hour) => hour % 24)],
	name: ['fuzz-1', 'fuzz-2', 'fuzz-3'],
	currency: ['SGD', 'USD'],
	products: [{ standard_ride: { base_price: '12.00' } }, { standard_ride: { base_price: '9.5', per_km: '0.80', regions: { 'fuzz-1': { minimum: '5.00' } } } }],
	surge: [SURGE],
	rounding: [{ step: '0.05', mode: 'up' }],
	when: ['true', 'features.demand_trend > 1.5', "request.product_type == 'standard_ride' && at.hour < 6"],
	then: [{ add_multiplier: 0.1 }, { cap_multiplier: 2 }, { add_price: '-1.00' }, { set_price: '30.00' }],
	staleness: [{ fresh_seconds: 60, stale_seconds: 300 }],
	validity_seconds: [60],
	active_from: [null],
	active_to: [null],
	version: ['1', '2', '3'],
	a: ['1', '2'],
	b: ['1', '3'],
	release: ['1', '2', 'current'],
	percent: [0, 12.5, 100],
	metadata: [{}, { app: 'ios', tags: [1, 'two', { three: null }] }],
	attributes: [{}, { distance_km: 4.2, vip: true, note: 'hi' }],
	starts_at: ['2026-01-11T10:00:00Z'],
	ends_at: ['2026-01-11T12:00:00+08:00', '2026-01-11T13:00:00Z'],
};
const UNGUESSED = 0.05; // the share of places where the schema's own word is taken for it
const SLUG = 'abcdefghijklmnopqrstuvwxyz0123456789';

function text(schema: Schema, dice: Dice): string {
	if (schema.format === 'date-time') return new Date(Date.UTC(2026, dice.below(12), 1 + dice.below(28), dice.below(24), dice.below(60))).toISOString();
	const letters = (count: number) => Array.from({ length: count }, () => SLUG[dice.below(SLUG.length)]).join('');
	const pattern = schema.pattern ?? '';
	if (pattern.includes('[A-Z]')) return 'DE';
	if (pattern.includes('\\d')) return String(1 + dice.below(40));
	if (schema.minLength === undefined && schema.maxLength === undefined && pattern === '') return letters(1 + dice.below(12));
	return letters(Math.max(schema.minLength ?? 1, Math.min(schema.maxLength ?? 64, dice.pick([1, 8, schema.maxLength ?? 64]), 64)));
}

function number(schema: Schema, dice: Dice): number {
	const least = schema.minimum ?? schema.exclusiveMinimum ?? -100;
	const most = Math.min(schema.maximum ?? 100, least + 1000);
	const value = Math.max(least, 0) + dice.below(Math.max(1, most - Math.max(least, 0)));
	return schema.exclusiveMinimum === value ? value + 1 : value;
}

/** A value that a schema allows, as far as the schema says; `name` is the field's, by which better ones are known. */
export function validValue(schema: Schema, { name, dice }: { name?: string | undefined; dice: Dice }): unknown {
	const candidates = name === undefined || !Object.hasOwn(known, name) ? undefined : known[name];
	if (candidates && !dice.chance(UNGUESSED)) return structuredClone(dice.pick(candidates));
	const branches = schema.anyOf ?? schema.oneOf;
	if (branches) return validValue(dice.pick(branches)!, { name, dice });
	if (schema.const !== undefined) return schema.const;
	if (schema.enum) return dice.pick(schema.enum);
	const type = Array.isArray(schema.type) ? dice.pick(schema.type) : schema.type;
	switch (type) {
		case 'object': {
			const given: Record<string, unknown> = {};
			for (const [field, inner] of Object.entries(schema.properties ?? {}))
				if (schema.required?.includes(field) || dice.chance(0.4)) given[field] = validValue(inner, { name: field, dice });
			if (!schema.properties && typeof schema.additionalProperties === 'object')
				given[text(schema.propertyNames ?? {}, dice)] = validValue(schema.additionalProperties, { dice });
			return given;
		}
		case 'array': {
			if (schema.prefixItems) return schema.prefixItems.map((inner) => validValue(inner, { dice }));
			const items = typeof schema.items === 'object' ? schema.items : {};
			const count = Math.max(schema.minItems ?? 0, Math.min(schema.maxItems ?? 3, dice.below(4)));
			return Array.from({ length: count }, () => validValue(items, { dice }));
		}
		case 'number':
		case 'integer':
			return number(schema, dice);
		case 'boolean':
			return dice.chance(0.5);
		case 'null':
			return null;
		case 'string':
			return text(schema, dice);
		default:
			return dice.pick([1, 'x', null, {}, []]);
	}
}
