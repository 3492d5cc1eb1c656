import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readZoneHours } from '../sample/zone-hours.ts';
import { plottedZones } from './draw-plots.ts';
import { evaluateMonth } from './evaluate-month.ts';
import { svgOf } from './plot.ts';
import { CHAMPION, readModel } from './read-model.ts';
import { coverage, wape } from './score.ts';

const REAL = join(import.meta.dirname, '../../../shared/data/yellow-zone-hour');

/** A month in which every week is like the one before: hour of week h has h / 4 bookings. */
function monthFile(month: string, zones: readonly string[]): Buffer {
	const lines: string[] = [];
	for (let at = Date.parse(`${month}-01T00:00:00Z`); new Date(at).toISOString().startsWith(month); at += 3_600_000) {
		const hourOfWeek = (Math.floor(at / 3_600_000) + 72) % 168;
		for (const zone of zones) lines.push(`('${zone},${new Date(at).toISOString().slice(0, 13).replace('T', ' ')}', ${Math.floor(hourOfWeek / 4)})`);
	}
	return gzipSync(lines.join('\n'));
}

const evaluate = (...args: string[]) => spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], { encoding: 'utf8' });

describe('evaluate', () => {
	let data: string;
	beforeAll(() => {
		data = mkdtempSync(join(tmpdir(), 'evaluate-'));
		for (const month of ['2015-05', '2015-06', '2015-07'])
			writeFileSync(join(data, `yellow_zone_hour_${month}.txt.gz`), monthFile(month, [plottedZones[0]!, 'Queens,Elsewhere']));
	});
	afterAll(() => rmSync(data, { recursive: true }));

	test('ends with one line of figures, after a table, and draws', () => {
		const plots = join(data, 'plots');
		const { status, stdout, stderr } = evaluate('--data', data, '--month', '2015-07', '--model', 'demand@1', '--plot', plots);
		expect(stderr).toContain('2015-07: 2 of 2 zones');
		expect(status).toBe(0);
		const lines = stdout.trimEnd().split('\n');
		const { month, model, wape: errors, coverage: covered } = JSON.parse(lines.at(-1)!);
		expect([month, model]).toEqual(['2015-07', 'demand@1']);
		expect(Object.keys(errors)).toEqual(['15', '30', '60']);
		// Every week is the same, so these two are perfect at an hour.
		expect(errors['60']).toMatchObject({ mean_of_4: 0, last_week: 0 });
		for (const horizon of ['15', '30', '60']) {
			expect(Object.keys(errors[horizon])).toEqual(['model', 'pulse', 'mean_of_4', 'last_week']);
			expect(covered[horizon]).toBeGreaterThan(0.5);
			expect(covered[horizon]).toBeLessThanOrEqual(1);
		}
		expect(stdout).toContain('60 minutes');
		const files = readdirSync(plots);
		expect(files).toEqual(['2015-07-error-by-hour.svg', '2015-07-manhattan-midtown-center.svg']);
		for (const file of files) expect(readFileSync(join(plots, file), 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
	});

	test.each([
		[['--month', '2015-07'], '--data is missing'],
		[['--data', '.', '--month', '2015-7'], 'wanted YYYY-MM'],
		[['--data', '.', '--month', '2015-07', '--model', 'demand@99'], "the sample's champion is demand@1"],
		[['--data', '.', '--month', '2015-07', '--record'], 'Cannot record'],
	])('refuses %j', (args, message) => {
		const { status, stderr } = evaluate(...args);
		expect(status).toBe(1);
		expect(stderr).toContain(message);
	});

	test('refuses a month whose weeks before are missing', async () => {
		const read = await readModel(CHAMPION);
		await expect(evaluateMonth({ ...read, data, month: '2015-05' })).rejects.toThrow('the month before it');
		await expect(evaluateMonth({ ...read, data, month: '2015-08' })).rejects.toThrow('has only 2015-05, 2015-06, 2015-07');
	});

	test.skipIf(!existsSync(REAL))(
		'beats pulse and the mean of four weeks on May 2015, which the champion has not seen: every fifth zone (skipped without ../shared/data)',
		async () => {
			const read = await readModel(CHAMPION);
			const zones = [...readZoneHours(REAL, ['2015-05']).keys()].sort().filter((_, index) => index % 5 === 0);
			const { all, clamped } = await evaluateMonth({ ...read, data: REAL, month: '2015-05', zones });
			expect(clamped).toBe(0);
			for (const horizon of ['15', '30', '60'] as const) {
				expect(wape(all[horizon], 'model')).toBeLessThan(0.95 * wape(all[horizon], 'pulse'));
				expect(wape(all[horizon], 'model')).toBeLessThan(0.85 * wape(all[horizon], 'mean_of_4'));
				expect(coverage(all[horizon], 'model')).toBeGreaterThan(0.77);
				expect(coverage(all[horizon], 'model')).toBeLessThan(0.83);
			}
		},
		120_000,
	);
});

describe('svgOf()', () => {
	test('escapes what is text, and draws a line a series', () => {
		const svg = svgOf({ title: 'a < b & c', unit: 'x', ticks: [{ at: 1, label: '<' }], series: [{ name: 's', colour: 'red', values: [1, 2, 3] }] });
		expect(svg).toContain('a &lt; b &amp; c');
		expect(svg.match(/<polyline/g)).toHaveLength(1);
		expect(svg).not.toContain('NaN');
	});
});
