import type { DecisionInputs } from '#schemas/decision.ts';
import { featureNames } from '#schemas/feature.ts';
import type { Forecast } from '#schemas/forecast.ts';
import type { PriceOutcome, Status } from '#schemas/price.ts';
import { type RuleSetDocument, ruleSetDocument } from '#schemas/rule-set.ts';
import { parseCondition } from './condition-parser.ts';

// For tests only: the price worked out a second time from contract.md, in other words than decide(). Every number is an exact fraction, conditions run in
// the CEL library itself with missing things left out and its exceptions caught. Slow, and without any care for hostile numbers.

interface Fraction {
	n: bigint;
	d: bigint;
}
const ONE: Fraction = { n: 1n, d: 1n };

/** "12.00", 1e-7, 42 as a fraction. */
export function fraction(value: string | number): Fraction {
	const [mantissa = '', exponent = '0'] = String(value).split('e');
	const [whole = '', digits = ''] = mantissa.split('.');
	const n = BigInt(whole + digits);
	const power = Number(exponent) - digits.length;
	return power >= 0 ? { n: n * 10n ** BigInt(power), d: 1n } : { n, d: 10n ** BigInt(-power) };
}
const plus = (a: Fraction, b: Fraction): Fraction => ({ n: a.n * b.d + b.n * a.d, d: a.d * b.d });
const minus = (a: Fraction, b: Fraction): Fraction => plus(a, { n: -b.n, d: b.d });
const times = (a: Fraction, b: Fraction): Fraction => ({ n: a.n * b.n, d: a.d * b.d });
const over = (a: Fraction, b: Fraction): Fraction => (b.n < 0n ? { n: -a.n * b.d, d: a.d * -b.n } : { n: a.n * b.d, d: a.d * b.n });
const less = (a: Fraction, b: Fraction): boolean => a.n * b.d < b.n * a.d;
const same = (a: Fraction, b: Fraction): boolean => a.n * b.d === b.n * a.d;
const floor = ({ n, d }: Fraction): bigint => n / d - (n % d < 0n ? 1n : 0n);

/** The multiple of `unit` that a mode wants. */
function onGrid(value: Fraction, unit: Fraction, mode: RuleSetDocument['rounding']['mode']): Fraction {
	const steps = over(value, unit);
	const below = floor(steps);
	const rest = minus(steps, { n: below, d: 1n });
	const half = { n: 1n, d: 2n };
	const tie = same(rest, half);
	const goUp = { up: rest.n > 0n, down: false, half_up: tie || less(half, rest), half_even: less(half, rest) || (tie && below % 2n !== 0n) }[mode];
	return times({ n: below + (goUp ? 1n : 0n), d: 1n }, unit);
}
const FOUR: Fraction = { n: 1n, d: 10_000n };
const halfEven4 = (value: Fraction): Fraction => onGrid(value, FOUR, 'half_even');
/** Exact decimals of up to 12 digits come out as the nearest double. */
function numberOf({ n, d }: Fraction): number {
	const digits = ((n < 0n ? -n : n) * 10n ** 12n) / d;
	return Number(`${n < 0n ? '-' : ''}${digits / 10n ** 12n}.${String(digits % 10n ** 12n).padStart(12, '0')}`);
}

function along(points: readonly (readonly [number, number])[], score: number): Fraction {
	const x = fraction(score);
	for (let i = 1; i < points.length; i++) {
		const [[x0, y0], [x1, y1]] = [points[i - 1]!, points[i]!].map((point) => point.map(fraction)) as [[Fraction, Fraction], [Fraction, Fraction]];
		if (!less(x1, x)) return halfEven4(plus(y0, over(times(minus(y1, y0), minus(x, x0)), minus(x1, x0))));
	}
	throw new Error(`score ${score} is off the curve`);
}

function forecastAnswer(inputs: DecisionInputs, document: RuleSetDocument, forecast: Forecast, warm: boolean): NonNullable<PriceOutcome['forecast']> {
	const minutes = document.surge.horizon_minutes;
	const horizon = forecast.horizons.find((one) => one.minutes === minutes)!;
	const { features, region } = inputs.snapshot;
	const feature = (name: (typeof featureNames)[number]): number | null => features?.values[featureNames.indexOf(name)] ?? null;
	const e = fraction(horizon.expected);
	const one = (value: Fraction) => plus(value, ONE);
	const usual = warm ? fraction(feature(`usual_${minutes}min`) ?? horizon.expected) : e;
	const available = warm ? feature('available_drivers') : null;
	let supply: Fraction | null = null;
	if (available !== null) {
		const u = feature('driver_utilization') ?? 0;
		const busy = features?.busy_drivers ?? (features?.busy_drivers === undefined && u < 1 ? Math.round((available * u) / (1 - u)) : 0);
		const share = over(fraction(minutes), fraction(region.minutes_per_booking));
		const s = times(plus(fraction(available), times(fraction(busy), less(share, ONE) ? share : ONE)), less(share, ONE) ? ONE : share);
		supply = over(one(s), plus(one(s), one(e)));
	}
	const [low, high] = [fraction(horizon.low), fraction(horizon.high)];
	return {
		demand_score: numberOf(halfEven4(over(one(e), plus(one(e), one(usual))))),
		supply_score: supply && numberOf(halfEven4(supply)),
		confidence: numberOf(halfEven4(minus(ONE, over(minus(high, low), one(plus(high, low)))))),
		horizon_minutes: minutes,
		expected_bookings: numberOf(onGrid(e, { n: 1n, d: 100n }, 'half_even')),
		model: forecast.model,
	};
}

/** true, false, or what an error comes to: 'missing' when a feature or the forecast that it mentions is not there, else 'error'. */
function verdict(when: string, inputs: DecisionInputs, seen: { features: boolean; forecast: PriceOutcome['forecast'] }): boolean | 'missing' | 'error' {
	const parsed = parseCondition(when);
	if (!parsed.ok) throw new Error(parsed.refusal.message);
	const present = (entries: [string, unknown][]) => Object.fromEntries(entries.filter(([, value]) => value !== null && value !== undefined));
	const { region, features } = inputs.snapshot;
	const known = {
		features: present(seen.features && features ? featureNames.map((name, index) => [name, features.values[index]]) : []),
		forecast: present(Object.entries(seen.forecast ?? {})),
	};
	const context = {
		request: {
			product_type: inputs.request.product_type,
			attributes: inputs.request.attributes,
			user: present([['bucket', inputs.request.bucket]]),
		},
		region: present(Object.entries({ ...region, id: region.region_id })),
		at: inputs.at,
		...known,
	};
	try {
		const value: unknown = parsed.program(context);
		if (typeof value === 'boolean') return value;
	} catch {
		// The error is judged below.
	}
	const lost = [...when.matchAll(/\b(features|forecast)(?:\.|\[')(\w+)/g)].some(([, root, name]) => !Object.hasOwn(known[root as 'features'], name!));
	return lost ? 'missing' : 'error';
}

/** The outcome that contract.md wants for well-behaved inputs. */
export function oracle(inputs: DecisionInputs, text: unknown): PriceOutcome {
	const document = ruleSetDocument.parse(JSON.parse(JSON.stringify(text)));
	const { snapshot, request, decided_at } = inputs;
	const { surge, staleness, rounding } = document;
	const minor = fraction(10 ** new Intl.NumberFormat('en', { style: 'currency', currency: document.currency }).resolvedOptions().maximumFractionDigits!);
	const money = (amount: string): Fraction => times(fraction(amount), minor);
	const product = document.products[request.product_type]!;
	const own = product.regions[snapshot.region.region_id];
	const base = money(own?.base_price ?? product.base_price);
	const step = money(rounding.step);
	const least = money(own?.minimum ?? product.minimum ?? rounding.step);
	const distance = times(money(own?.per_km ?? product.per_km), fraction((request.attributes['distance_km'] as number | undefined) ?? 0));

	const age = snapshot.features ? Math.max(0, decided_at - snapshot.features.as_of) : null;
	const [fresh, stale] = [staleness.fresh_seconds, staleness.stale_seconds].map((seconds) =>
		Number(times(fraction(seconds), fraction(1000)).n / times(fraction(seconds), fraction(1000)).d),
	) as [number, number];
	const rung = age === null ? (snapshot.usual ? 'baseline' : 'tariff') : age > stale ? 'baseline' : age > fresh ? 'stale' : 'priced';
	const status: Status = snapshot.region.frozen ? 'frozen' : rung;
	const warm = rung === 'priced' || rung === 'stale';
	const chosen = (inputs.arm === 'canary' ? snapshot.forecasts?.canary : null) ?? snapshot.forecasts?.champion ?? null;
	const source = warm ? chosen : rung === 'baseline' ? snapshot.usual : null;
	const forecast = source && forecastAnswer(inputs, document, source, warm);

	const reasons: string[] = status === 'priced' ? [] : [status];
	const factors = new Map<string, Fraction>();
	const factor = (name: string, value: Fraction) => factors.set(name, plus(factors.get(name) ?? { n: 0n, d: 1n }, value));
	let multiplier = ONE;
	const move = (name: string, to: Fraction) => {
		factor(name, minus(to, multiplier));
		multiplier = to;
	};
	const sorted = document.adjustments.toSorted((a, b) => a.priority - b.priority || (a.id < b.id ? -1 : 1));
	const active = sorted
		.filter(({ active_from, active_to }) => !(active_from !== null && decided_at < active_from) && !(active_to !== null && decided_at >= active_to))
		.map((adjustment) => ({ ...adjustment, value: verdict(adjustment.when, inputs, { features: warm, forecast: warm ? forecast : null }) }));
	if ((status === 'priced' || status === 'stale') && forecast) {
		if (forecast.supply_score === null) reasons.push('no_supply_data');
		if (source?.out_of_domain) reasons.push('model_out_of_domain');
		move('demand', plus(multiplier, along(surge.demand_curve, forecast.demand_score)));
		if (forecast.supply_score !== null) move('supply', plus(multiplier, along(surge.supply_curve, forecast.supply_score)));
	}
	if (status !== 'tariff' && status !== 'frozen') {
		for (const { id, then, value } of active)
			if (then.add_multiplier !== undefined && value === true) move(`rule:${id}`, plus(multiplier, fraction(then.add_multiplier)));
		for (const { id, then, value } of active) {
			const [cap, lowest] = [then.cap_multiplier, then.floor_multiplier];
			if (cap !== undefined && (value === true || value === 'missing') && less(fraction(cap), multiplier)) {
				move('cap', fraction(cap));
				reasons.push(`cap:${id}`);
			}
			if (lowest !== undefined && value === true && less(multiplier, fraction(lowest))) {
				move('floor', fraction(lowest));
				reasons.push(`floor:${id}`);
			}
		}
		if (less(multiplier, fraction(surge.min_multiplier))) {
			move('floor', fraction(surge.min_multiplier));
			reasons.push('min_multiplier');
		}
		if (less(fraction(surge.max_multiplier), multiplier)) {
			move('cap', fraction(surge.max_multiplier));
			reasons.push('max_multiplier');
		}
	}
	if (status === 'stale' && less(ONE, multiplier))
		move('stale', plus(ONE, halfEven4(times(minus(multiplier, ONE), { n: BigInt(stale - age!), d: BigInt(stale - fresh) }))));
	if (status === 'baseline' && less(ONE, multiplier)) move('cap', ONE);

	const lines = new Map<string, bigint>();
	const line = (kind: string, { n, d }: Fraction) => lines.set(kind, n / d);
	line('base', base);
	line('distance', distance);
	for (const [kind, value] of factors) line(kind, times(plus(base, distance), value));
	let price = times(plus(base, distance), multiplier);
	const charge = (kind: string, to: Fraction) => {
		line(kind, minus(to, price));
		price = to;
	};
	for (const { id, then, value } of active) {
		if (value !== true) continue;
		if (then.multiply_price !== undefined) charge(`rule:${id}`, times(price, fraction(then.multiply_price)));
		if (then.add_price !== undefined) charge(`rule:${id}`, plus(price, money(then.add_price)));
		if (then.set_price !== undefined) charge(`rule:${id}`, money(then.set_price));
	}
	if (less(price, least)) {
		charge('minimum', least);
		reasons.push('minimum');
	}
	const amount = onGrid(price, step, rounding.mode);
	const sum = [...lines.values()].reduce((a, b) => a + b, 0n);
	line('rounding', minus(amount, { n: sum, d: 1n }));

	const order = ['base', 'distance', 'demand', 'supply'];
	const place = (kind: string): number =>
		order.includes(kind) ? order.indexOf(kind) : 10 + ['cap', 'floor', 'stale'].indexOf(kind) + (kind === 'rounding' ? 50 : 0);
	const factorNames = [...factors.keys()].filter((name) => factors.get(name)!.n !== 0n);
	const early = factorNames.filter((name) => !['cap', 'floor', 'stale'].includes(name));
	const late = factorNames.filter((name) => ['cap', 'floor', 'stale'].includes(name)).sort((a, b) => place(a) - place(b));
	const inOrder = [...early, ...late];
	const lineOrder = [
		'base',
		'distance',
		...inOrder,
		...[...lines.keys()].filter((kind) => !inOrder.includes(kind) && !['base', 'distance', 'rounding', ...factors.keys()].includes(kind)),
		'rounding',
	];
	const iso = (at: number) => new Date(at).toISOString().replace('.000Z', 'Z');
	return {
		region_id: snapshot.region.region_id,
		product_type: request.product_type,
		price: numberOf(over(amount, minor)),
		amount_minor: Number(amount.n / amount.d),
		currency: document.currency,
		base_price: numberOf(over(base, minor)),
		surge_multiplier: numberOf(multiplier),
		decided_at: iso(decided_at),
		valid_until: iso(decided_at + Math.round(document.validity_seconds * 1000)),
		status,
		reasons,
		factors: Object.fromEntries(inOrder.map((name) => [name, numberOf(factors.get(name)!)])),
		lines: lineOrder.filter((kind) => (lines.get(kind) ?? 0n) !== 0n).map((kind) => ({ kind, amount_minor: Number(lines.get(kind)!) })),
		forecast,
		versions: {
			release: snapshot.release,
			rule_set: snapshot.rule_set.version,
			model: forecast?.model ?? null,
			features: snapshot.features?.version ?? null,
			features_as_of: snapshot.features ? iso(snapshot.features.as_of) : null,
			age_ms: age,
		},
	};
}
