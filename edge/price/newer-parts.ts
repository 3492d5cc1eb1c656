import type { Snapshot } from '#schemas/snapshot.ts';

const modelsOf = ({ forecasts }: Snapshot): string => `${forecasts?.champion.model} ${forecasts?.canary?.model} ${forecasts?.canary_percent}`;

/**
 * What an isolate holds after a Shard's answer: no step back to an older release, catalogue entry or features.
 *
 * Usually `given` as it is. A Shard that lost its memory answers with features up to 40 s older than the isolate's, while its entries and releases are
 * never older: then rules, entry (a freeze) and usual of `given` are joined with the features and forecasts of `held`, under an id that names both,
 * so the same id is the same content wherever it is made. Only features whose forecasts the new release would make by the same models are joined;
 * else `held` stays until the next frame, since no decision mixes two releases.
 */
export function newerParts(held: Snapshot, given: Snapshot): Snapshot {
	if (given.release < held.release || given.region.version < held.region.version) return held;
	if ((given.features?.version ?? 0) >= (held.features?.version ?? 0)) return given;
	if (given.release !== held.release && given.forecasts && modelsOf(given) !== modelsOf(held)) return held;
	const featuresFrom = held.snapshot_id.split('+').at(-1);
	const snapshot_id = `${given.snapshot_id}+${featuresFrom}`;
	return snapshot_id === held.snapshot_id ? held : { ...given, snapshot_id, features: held.features, forecasts: held.forecasts };
}
