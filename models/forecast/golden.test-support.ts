import { type FeatureName, type FeatureVector, featureNames } from '#schemas/feature.ts';

/** A vector in which only these are known. */
export const vector = (known: Partial<Record<FeatureName, number>>): FeatureVector => featureNames.map((name) => known[name] ?? null);
