import * as z from 'zod';
import { FEATURE_SET, featureNames } from './feature.ts';
import { slug } from './identifier.ts';
import { digest } from './release.ts';

const featureName = z.enum(featureNames);
const range = z.tuple([z.number(), z.number()]).refine(([low, high]) => low <= high, 'must be [low, high]');
/** How many numbers an interval table has: one a size class of the forecast (models/forecast/interval.ts). */
export const INTERVAL_CLASSES = 9;
const intervalTable = z.array(z.number().positive()).length(INTERVAL_CLASSES);
const percentages = z.strictObject({ model: z.number(), pulse: z.number(), mean_of_4: z.number(), last_week: z.number() });

/** What stands beside an ONNX file: how to feed it, where it may be believed, and how good it was. Addressed by the SHA-256 of its own text. */
export const modelManifest = z.strictObject({
	name: slug,
	version: z.int().positive(),
	digest: digest.describe('SHA-256 of the ONNX file'),
	feature_set: z.literal(FEATURE_SET),
	inputs: z
		.array(featureName)
		.min(1)
		.refine((names) => new Set(names).size === names.length, 'must not name a feature twice')
		.describe('The columns of the one float32 input [rows, inputs], in order; the first dimension is free'),
	outputs: z
		.strictObject({ '15': z.string(), '30': z.string(), '60': z.string() })
		.describe('Names of the outputs: expected bookings of the coming 15, 30 and 60 minutes'),
	domain: z
		.strictObject({
			history_days_min: z.number().nonnegative(),
			usual_60min: range,
			clip: z.partialRecord(featureName, range).describe('Ranges that training saw; other inputs are clipped to them'),
		})
		.describe('Outside of it `pulse` forecasts, and the answer says model_out_of_domain'),
	output_range: range.describe('Bookings; outputs beyond it are clamped and counted'),
	intervals: z
		.strictObject({ '15': intervalTable, '30': intervalTable, '60': intervalTable })
		.describe('Half widths of the 80 % interval in units of sqrt(y + (0.08 y)^2), by size class of the forecast y, per horizon'),
	figures: z
		.record(z.string(), z.strictObject({ wape: z.record(z.string(), percentages), coverage: z.record(z.string(), z.number()) }))
		.describe('Held-out months (YYYY-MM), as npm run evaluate measures them: WAPE in percent over all zones and coverage of the interval, per horizon'),
	golden: z
		.array(z.strictObject({ inputs: z.array(z.number()), outputs: z.tuple([z.number(), z.number(), z.number()]) }))
		.max(100)
		.describe("The trainer's own outputs for some rows, three a row: any runtime must give them within 1e-4 + 1e-4 |b|"),
	data: z
		.strictObject({ source: z.string(), from: z.string(), to: z.string(), rows: z.int().positive() })
		.describe('What it was trained on: from the first local date to the one that was not seen any more'),
	code_revision: z.string().describe('Revision of the code that trained it'),
});
export type ModelManifest = z.output<typeof modelManifest>;
