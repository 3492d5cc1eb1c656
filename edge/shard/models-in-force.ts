import { pulse } from '#models/forecast/pulse.ts';
import type { FeatureVector } from '#schemas/feature.ts';
import type { ShardModels } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import type { ModelReference, Release } from '#schemas/release.ts';
import type { ShardEnvironment } from './environment.ts';
import type { Forecasts, HeldFeatures } from './held-features.ts';
import { forecastRows, type LoadedModel, loadModel } from './loaded-model.ts';

/** The models of a release that are open here. */
interface OpenModels {
	champion: LoadedModel | undefined;
	canary: LoadedModel | undefined;
	shadows: readonly LoadedModel[];
}
const NONE: OpenModels = { champion: undefined, canary: undefined, shadows: [] };

/** Models ready to be used, and what they say of the features that were held. */
export interface Prepared {
	models: OpenModels;
	forecasts: Map<string, [of: HeldFeatures, made: Forecasts]>;
	/** Why a model of the release is not among them; then its predecessor is, or none. */
	trouble: string | null;
}

const allOf = ({ champion, canary, shadows }: OpenModels) => [champion, canary, ...shadows].filter((model) => model !== undefined);
const nameOf = ({ reference }: LoadedModel) => `${reference.name}@${reference.version}`;
const byPulse = (values: FeatureVector): Forecasts => ({ champion: pulse(values), canary: null });
const words = (error: unknown) => (error instanceof Error ? error.message : String(error));

/**
 * The models of the release in force, open in one Shard, and the forecasts of the features that it holds. `pulse` forecasts until they are open, and
 * wherever they cannot: no price waits for ONNX Runtime.
 */
export class ModelsInForce {
	readonly #ctx: DurableObjectState;
	readonly #env: ShardEnvironment;
	/** The Shard's; of a row only the forecasts are changed here, and then `changed` is told. */
	readonly #features: ReadonlyMap<string, HeldFeatures>;
	readonly #changed: (regionId: string) => void;
	#inForce = NONE;
	#trouble: string | null = null;
	#triedAt = 0;
	/** Outputs that left their declared range, in this life. */
	#clamped = 0;

	constructor(ctx: DurableObjectState, options: { env: ShardEnvironment; features: ReadonlyMap<string, HeldFeatures>; changed: (regionId: string) => void }) {
		this.#ctx = ctx;
		this.#env = options.env;
		this.#features = options.features;
		this.#changed = options.changed;
	}

	/** Forecasts of these features, in order, each to be kept by its Shard; then `settle(by)`. Never throws. */
	async forecast(rows: readonly FeatureVector[]): Promise<{ made: Forecasts[]; by: OpenModels }> {
		const by = this.#inForce;
		return { made: await this.#runOrPulse(rows, by), by };
	}

	/** Forecasts again what came while the models were changed. */
	settle(by: OpenModels): void {
		if (by !== this.#inForce) this.#ctx.waitUntil(this.#forecastAgain());
	}

	/** The models of a release, opened, with their forecasts of what is held; one that fails leaves its predecessor. Never throws. Then `use` or `drop`. */
	async prepare({ release, models: wanted }: Release): Promise<Prepared> {
		this.#triedAt = Date.now();
		const before = this.#inForce;
		const troubles: string[] = [];
		const opened = async (reference: ModelReference | null): Promise<LoadedModel | undefined> => {
			if (!reference) return undefined;
			const held = allOf(before).find((model) => model.reference.digest === reference.digest && model.reference.manifest === reference.manifest);
			if (held) return held;
			try {
				return await loadModel(reference, this.#env);
			} catch (error) {
				troubles.push(words(error));
				return undefined;
			}
		};
		const champion = await opened(wanted.champion);
		const canary = await opened(wanted.canary);
		const shadows: LoadedModel[] = [];
		for (const reference of wanted.shadows.slice(0, limits.shadows_max)) {
			const shadow = await opened(reference);
			if (shadow) shadows.push(shadow);
		}
		if (wanted.shadows.length > limits.shadows_max) troubles.push(`Cannot run ${wanted.shadows.length} shadows: at most ${limits.shadows_max} run`);
		const models: OpenModels = {
			champion: champion ?? (wanted.champion ? before.champion : undefined),
			canary: canary ?? (wanted.canary ? before.canary : undefined),
			shadows,
		};
		const rows = [...this.#features];
		let made: Forecasts[] = [];
		try {
			made = await this.#run(
				rows.map(([, { values }]) => values),
				models,
			);
		} catch (error) {
			troubles.push(`a run failed: ${words(error)}`);
			made = rows.map(([, { values }]) => byPulse(values));
		}
		for (const trouble of troubles) console.error(JSON.stringify({ message: 'a model is not in force', release, error: trouble }));
		return {
			models,
			forecasts: new Map(rows.flatMap(([id, of], index) => (made[index] ? [[id, [of, made[index]]]] : []))),
			trouble: troubles.length > 0 ? troubles.join('; ') : null,
		};
	}

	/** Puts prepared models in force. */
	use({ models, forecasts, trouble }: Prepared): void {
		const before = this.#inForce;
		this.#inForce = models;
		this.#trouble = trouble;
		for (const [id, [of, made]] of forecasts) this.#keep(id, of, made);
		this.#closeUnused(before);
		this.#ctx.waitUntil(this.#forecastAgain());
	}

	/** Closes prepared models that never come to be in force. */
	drop({ models }: Prepared): void {
		this.#closeUnused(models);
	}

	/** Whether one of them could not be opened or run, and is to be tried again now. */
	retryIsDue(): boolean {
		return this.#trouble !== null && Date.now() - this.#triedAt > limits.models_retry_ms;
	}

	report(): ShardModels {
		const { champion, canary, shadows } = this.#inForce;
		return {
			champion: champion ? nameOf(champion) : null,
			canary: canary ? nameOf(canary) : null,
			shadows: shadows.map(nameOf),
			trouble: this.#trouble,
			clamped: this.#clamped,
		};
	}

	/** A run each. @throws what ONNX Runtime throws. */
	async #run(rows: readonly FeatureVector[], { champion, canary, shadows }: OpenModels): Promise<Forecasts[]> {
		const by = async (model: LoadedModel | undefined) => {
			const { forecasts, clamped } = await forecastRows(model, rows);
			this.#clamped += clamped;
			return forecasts;
		};
		const first = await by(champion);
		const second = canary ? await by(canary) : [];
		// Shadows run on everything and price nothing: what they would cost and whether they hold is seen before they are promoted.
		for (const shadow of shadows) await by(shadow);
		return rows.map((values, index) => ({ champion: first[index] ?? pulse(values), canary: second[index] ?? null }));
	}

	async #runOrPulse(rows: readonly FeatureVector[], models: OpenModels): Promise<Forecasts[]> {
		try {
			return await this.#run(rows, models);
		} catch (error) {
			// Models that others took out of force meanwhile are closed: no trouble of those that are in force.
			if (models === this.#inForce) {
				this.#trouble = `a run failed: ${words(error)}`;
				console.error(JSON.stringify({ message: 'a model does not run', error: this.#trouble }));
			}
			return rows.map(byPulse);
		}
	}

	/** Forecasts once more what was forecast by models that are no longer in force: frames that came while others were opened. */
	async #forecastAgain(): Promise<void> {
		const models = this.#inForce;
		const wanted = models.champion ? nameOf(models.champion) : 'pulse';
		const rows = [...this.#features].filter(([, { forecasts }]) => forecasts.champion.model !== wanted && !forecasts.champion.out_of_domain);
		if (rows.length === 0) return;
		const made = await this.#runOrPulse(
			rows.map(([, { values }]) => values),
			models,
		);
		if (models !== this.#inForce) return; // whoever changed them does it
		for (const [index, [id, of]] of rows.entries()) if (made[index]) this.#keep(id, of, made[index]);
	}

	/** Unless newer features came meanwhile. */
	#keep(id: string, of: HeldFeatures, made: Forecasts): void {
		if (this.#features.get(id) !== of) return;
		of.forecasts = made;
		this.#changed(id);
	}

	/** Ends the sessions of models that are no longer in force, or never came to be. */
	#closeUnused(models: OpenModels): void {
		const kept = new Set(allOf(this.#inForce));
		for (const model of allOf(models)) if (!kept.has(model)) this.#ctx.waitUntil(model.session.close());
	}
}
