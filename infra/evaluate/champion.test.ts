import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { features } from '#models/features/features.ts';
import { fold } from '#models/features/fold.ts';
import { modelInput } from '#models/forecast/model-input.ts';
import type { UserEvent } from '#schemas/event.ts';
import { HOUR_MS, QUARTER_MS, seededHours, walkZone } from '../sample/walk-zone.ts';
import { CHAMPION, type ReadModel, readModel } from './read-model.ts';

const MIB = 1024 * 1024;
const DAY_MS = 24 * HOUR_MS;

interface Golden {
	digest: string;
	inputs: string[];
	/** The inputs of a row, then LightGBM's three outputs. */
	rows: number[][];
}
const golden = JSON.parse(readFileSync(join(import.meta.dirname, '../../models/training/golden-rows.json'), 'utf8')) as Golden;

describe("the sample's champion", () => {
	let read: ReadModel;
	beforeAll(async () => {
		read = await readModel(CHAMPION);
	});
	const width = () => read.manifest.inputs.length;

	test('is under 2 MiB, and its golden rows are of this file', () => {
		expect(readFileSync(join(CHAMPION, 'model.onnx')).length).toBeLessThan(2 * MIB);
		expect(golden.digest).toBe(read.manifest.digest);
		expect(golden.inputs).toEqual(read.manifest.inputs);
		expect(golden.rows.length).toBeGreaterThanOrEqual(1000);
	});

	test("gives LightGBM's outputs in onnxruntime-web: |a - b| <= 1e-4 + 1e-4 |b|", async () => {
		const said = await read.model.run(golden.rows.map((row) => row.slice(0, width())));
		said.forEach((outputs, row) => {
			outputs.forEach((a, horizon) => {
				const b = golden.rows[row]![width() + horizon]!;
				expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-4 + 1e-4 * Math.abs(b));
			});
		});
		for (const { inputs, outputs } of read.manifest.golden) {
			const [alone] = await read.model.run([inputs]);
			outputs.forEach((b, horizon) => {
				expect(Math.abs(alone![horizon]! - b)).toBeLessThanOrEqual(1e-4 + 1e-4 * Math.abs(b));
			});
		}
	});

	test('says the same of a row alone as in a batch', async () => {
		const rows = golden.rows.slice(0, 200).map((row) => row.slice(0, width()));
		const batch = await read.model.run(rows);
		for (const [index, row] of rows.entries()) expect((await read.model.run([row]))[0]).toEqual(batch[index]);
	});

	test('never forecasts less for one more booking of the last hour', async () => {
		const begin = Date.parse('2015-02-02T05:00:00Z');
		const region = { time_zone: 'America/New_York', profile: null, holiday_dates: [] };
		const event = (timestamp: number): UserEvent => ({
			event_id: '',
			region_id: '',
			event_type: 'booking',
			timestamp,
			ingested_at: timestamp,
			user_hash: null,
			product_type: null,
			metadata: null,
		});
		const rows: number[][] = [];
		for (const scale of [0.3, 3, 20, 150]) {
			const hours = new Map(Array.from({ length: 30 * 24 }, (_, hour) => [begin + hour * HOUR_MS, Math.round(scale * (1 + ((hour * 7) % 24) / 12))]));
			const end = begin + 29.9 * DAY_MS;
			walkZone({ hours, begin, end: Math.floor(end / QUARTER_MS) * QUARTER_MS, randomOf: seededHours(`${scale}`, 1) }, ({ at, window }) => {
				if (at < begin + 29 * DAY_MS) return;
				for (let more = 0; more < 4; more++) {
					const input = modelInput(features(window, region, at), read.manifest);
					if ('row' in input) rows.push(input.row);
					// Stays in the window: the next quarter-hours begin with it.
					fold(window, event(at - 1 - ((more * 977 + (at / QUARTER_MS) * 131_071) % HOUR_MS)));
				}
			});
		}
		expect(rows.length).toBeGreaterThan(1000);
		const said = await read.model.run(rows);
		for (let row = 0; row < said.length; row += 4)
			for (let more = 1; more < 4; more++)
				said[row + more]!.forEach((value, horizon) => {
					expect(value).toBeGreaterThanOrEqual(said[row + more - 1]![horizon]! * (1 - 1e-6));
				});
	});
});
