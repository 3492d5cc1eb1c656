import { type FeatureName, featureIndex, type FeatureVector } from '#schemas/feature.ts';
import type { ModelManifest } from '#schemas/model-manifest.ts';

/** A row for a model, or why the model may not be asked about this region. */
export type ModelInput = { row: number[] } | { out_of_domain: string };

/**
 * The features that a model wants, in its order, clipped to what its training saw. Out of its domain: too short a history, a usual beyond it, or a
 * feature that is not there (none is imputed: what a model never saw missing it cannot judge).
 */
export function modelInput(values: FeatureVector, { inputs, domain }: Pick<ModelManifest, 'inputs' | 'domain'>): ModelInput {
	const of = (name: FeatureName) => values[featureIndex[name]];
	const history = of('history_days');
	if (!(typeof history === 'number' && history >= domain.history_days_min)) return { out_of_domain: `history_days ${history}, wanted are ${domain.history_days_min}` };
	const usual = of('usual_60min');
	const [least, greatest] = domain.usual_60min;
	if (!(typeof usual === 'number' && usual >= least && usual <= greatest)) return { out_of_domain: `usual_60min ${usual}, wanted are ${least} to ${greatest}` };
	const row: number[] = [];
	for (const name of inputs) {
		const value = of(name);
		if (typeof value !== 'number' || !Number.isFinite(value)) return { out_of_domain: `${name} is ${value}` };
		const range = domain.clip[name];
		row.push(range ? Math.min(range[1], Math.max(range[0], value)) : value);
	}
	return { row };
}
