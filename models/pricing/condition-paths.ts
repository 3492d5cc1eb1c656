import { featureIndex, featureNames } from '#schemas/feature.ts';
import type { ConditionContext } from './condition-context.ts';

/** A value inside a condition. `undefined` is CEL's error: something is missing, or of another type than wanted. */
export type Value = number | string | boolean | undefined;
export type Read = (context: ConditionContext) => Value;

export interface Path {
	type: 'double' | 'string' | 'bool';
	read: Read;
	/** Features and the forecast: where one is missing, a cap holds. */
	perishable: boolean;
}

const finite = (value: number | null | undefined): Value => (value !== null && Number.isFinite(value) ? value : undefined);
const double = (read: (context: ConditionContext) => number | null | undefined): Path => ({
	type: 'double',
	read: (context) => finite(read(context)),
	perishable: false,
});
const text = (read: (context: ConditionContext) => string | null): Path => ({
	type: 'string',
	read: (context) => read(context) ?? undefined,
	perishable: false,
});
const perishable = (path: Path): Path => ({ ...path, perishable: true });

/** A number that is not finite (a broken feature) counts as missing. */
function feature(index: number): Path {
	return perishable(double((context) => context.features?.[index]));
}

/** Every name that a condition may read, beside request.attributes.<any>: root -> field (with dots) -> what it is. */
export const paths: ReadonlyMap<string, ReadonlyMap<string, Path>> = new Map([
	[
		'request',
		new Map([
			['product_type', text((context) => context.product_type)],
			['user.bucket', double((context) => context.bucket)],
		]),
	],
	[
		'region',
		new Map<string, Path>([
			['id', text((context) => context.region.region_id)],
			['name', text((context) => context.region.name)],
			['time_zone', text((context) => context.region.time_zone)],
			['rule_set', text((context) => context.region.rule_set)],
			['location_hint', text((context) => context.region.location_hint)],
			['minutes_per_booking', double((context) => context.region.minutes_per_booking)],
			['frozen', { type: 'bool', read: (context) => context.region.frozen, perishable: false }],
		]),
	],
	['features', new Map(featureNames.map((name) => [name, feature(featureIndex[name])]))],
	[
		'forecast',
		new Map([
			['demand_score', perishable(double((context) => context.forecast?.demand_score))],
			['supply_score', perishable(double((context) => context.forecast?.supply_score))],
			['confidence', perishable(double((context) => context.forecast?.confidence))],
			['expected_bookings', perishable(double((context) => context.forecast?.expected_bookings))],
			['horizon_minutes', perishable(double((context) => context.forecast?.horizon_minutes))],
			['model', perishable(text((context) => context.forecast?.model ?? null))],
		]),
	],
	[
		'at',
		new Map([
			['hour', double((context) => context.at.hour)],
			['day_of_week', double((context) => context.at.day_of_week)],
			['date', text((context) => context.at.date)],
		]),
	],
]);

/** An attribute of the request: any name, any type. */
export function attribute(name: string): Read {
	return ({ attributes }) => {
		if (!Object.hasOwn(attributes, name)) return undefined;
		const value = attributes[name];
		return typeof value === 'number' ? finite(value) : value;
	};
}
