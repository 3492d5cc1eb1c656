import * as z from 'zod';
import { FEATURE_SET, type FeatureName, featureNames } from './feature.ts';
import { slug } from './identifier.ts';
import { digest } from './release.ts';

const featureName = z.enum(featureNames as unknown as [FeatureName, ...FeatureName[]]);
const range = z.tuple([z.number(), z.number()]).refine(([low, high]) => low <= high, 'must be [low, high]');
/** models/forecast/interval.ts: one factor a size class of the forecast. */
const intervalTable = z.array(z.number().positive()).length(9);
const percentages = z.strictObject({ model: z.number(), pulse: z.number(), mean_of_4: z.number(), last_week: z.number() });

/** What stands beside an ONNX file: how to feed it, where it may be believed, and how good it was. Addressed by the SHA-256 of its own text. */
export const modelManifest = z.strictObject({
	name: slug,
	version: z.int().positive(),
	/** SHA-256 of the ONNX file. */
	digest,
	feature_set: z.literal(FEATURE_SET),
	/** The columns of the one float32 input, in order. */
	inputs: z.array(featureName).min(1),
	/** Names of the outputs: expected bookings of the coming 15, 30 and 60 minutes. */
	outputs: z.strictObject({ '15': z.string(), '30': z.string(), '60': z.string() }),
	/** Outside of it `pulse` forecasts, and the answer says model_out_of_domain. */
	domain: z.strictObject({
		history_days_min: z.number().nonnegative(),
		usual_60min: range,
		/** Other inputs are clipped to what training saw. */
		clip: z.partialRecord(featureName, range),
	}),
	/** Outputs beyond it are clamped and counted. */
	output_range: range,
	/** Factors of the 80 % interval by size class, per horizon. */
	intervals: z.strictObject({ '15': intervalTable, '30': intervalTable, '60': intervalTable }),
	/** Held-out months: WAPE in percent over all zones and coverage of the interval, per horizon. */
	figures: z.record(z.string(), z.strictObject({ wape: z.record(z.string(), percentages), coverage: z.record(z.string(), z.number()) })),
	/** The trainer's own outputs for some rows, three a row: any runtime must give them within 1e-4 + 1e-4 |b|. */
	golden: z.array(z.strictObject({ inputs: z.array(z.number()), outputs: z.tuple([z.number(), z.number(), z.number()]) })).max(100),
	/** What it was trained on. */
	data: z.strictObject({ source: z.string(), from: z.string(), to: z.string(), rows: z.int().positive() }),
	/** Revision of the code that trained it. */
	code_revision: z.string(),
});
export type ModelManifest = z.output<typeof modelManifest>;
