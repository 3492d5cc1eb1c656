import { describe, expect, test } from 'vitest';
import { INTERVAL_CLASSES, type ModelManifest, modelManifest } from './model-manifest.ts';
import { parse } from './parse.ts';

const table = new Array<number>(INTERVAL_CLASSES).fill(1.5);
const wape = { model: 9.5, pulse: 10.1, mean_of_4: 11.6, last_week: 14 };
const manifest: ModelManifest = {
	name: 'demand',
	version: 1,
	digest: 'a'.repeat(64),
	feature_set: 'v1',
	inputs: ['usual_60min', 'recent_bookings'],
	outputs: { '15': 'a', '30': 'b', '60': 'c' },
	domain: { history_days_min: 28, usual_60min: [0.05, 1000], clip: { recent_bookings: [0, 500] } },
	output_range: [0, 5000],
	intervals: { '15': table, '30': table, '60': table },
	figures: { '2015-05': { wape: { '15': wape, '30': wape, '60': wape }, coverage: { '15': 0.8, '30': 0.8, '60': 0.8 } } },
	golden: [{ inputs: [60, 20], outputs: [15, 30, 60] }],
	data: { source: 'counts', from: '2014-04-01', to: '2015-05-01', rows: 1000 },
	code_revision: 'b'.repeat(40),
};
const pathOf = (change: object) => {
	const parsed = parse(modelManifest, JSON.parse(JSON.stringify({ ...manifest, ...change })));
	return parsed.ok ? null : parsed.errors[0]?.path;
};

describe('modelManifest', () => {
	test('takes a manifest', () => {
		expect(parse(modelManifest, JSON.parse(JSON.stringify(manifest)))).toEqual({ ok: true, value: manifest });
	});

	test.each([
		['/trained_at', { trained_at: '2015-05-01' }],
		['/digest', { digest: 'A'.repeat(64) }],
		['/feature_set', { feature_set: 'v2' }],
		['/inputs', { inputs: [] }],
		['/inputs/0', { inputs: ['usual_61min'] }],
		['/inputs', { inputs: ['hour', 'hour'] }],
		['/outputs/60', { outputs: { '15': 'a', '30': 'b' } }],
		['/domain/usual_60min', { domain: { ...manifest.domain, usual_60min: [10, 1] } }],
		['/intervals/30', { intervals: { ...manifest.intervals, '30': table.slice(1) } }],
		['/version', { version: 0 }],
	])('refuses at %s', (path, change) => {
		expect(pathOf(change)).toBe(path);
	});
});
