import { type FeatureName, type FeatureVector, featureIndex } from '#schemas/feature.ts';
import type { ModelManifest } from '#schemas/model-manifest.ts';

/** A row for a model, or why the model may not be asked about this region. */
export type ModelInput = { row: number[] } | { out_of_domain: string };

/**
 * The features that a model wants, in its order, clipped to what its training saw, as the float32 that it is fed with. Out of its domain: too short a history, a usual beyond it, or a
 * feature that is not there (none is imputed: what a model never saw missing it cannot judge).
 */
export function modelInput(values: FeatureVector, { inputs, domain }: Pick<ModelManifest, 'inputs' | 'domain'>): ModelInput {
	const of = (name: FeatureName) => values[featureIndex[name]];
	const history = of('history_days');
	if (!(typeof history === 'number' && history >= domain.history_days_min))
		return { out_of_domain: `history_days ${history}, wanted are ${domain.history_days_min}` };
	const usual = of('usual_60min');
	const [least, greatest] = domain.usual_60min;
	// In float32, as the ranges were found: 0.05, the least of all usuals, is below the float32 of its name.
	if (!(typeof usual === 'number' && Math.fround(usual) >= Math.fround(least) && Math.fround(usual) <= Math.fround(greatest)))
		return { out_of_domain: `usual_60min ${usual}, wanted are ${least} to ${greatest}` };
	const row: number[] = [];
	for (const name of inputs) {
		const value = of(name);
		// NaN is no number to clip; an infinity would be clipped, but nothing that is sound gives one.
		if (typeof value !== 'number' || !Number.isFinite(value)) return { out_of_domain: `${name} is ${value}` };
		const range = domain.clip[name];
		row.push(Math.fround(range ? Math.min(range[1], Math.max(range[0], value)) : value));
	}
	return { row };
}
