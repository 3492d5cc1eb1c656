import { DurableObject } from 'cloudflare:workers';
import { pulse } from '#models/forecast/pulse.ts';
import { usualAt, usualForecast } from '#models/forecast/usual.ts';
import type { FeatureVector } from '#schemas/feature.ts';
import type { Forecast } from '#schemas/forecast.ts';
import type { Frame, FrameAnswer, RefreshAnswer, RefreshQuestion, RegionFeatures, ShardModels, ShardState } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import type { Region } from '#schemas/region.ts';
import type { ModelReference, Release, ReleasePointer } from '#schemas/release.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import { patience } from '../patience.ts';
import type { ShardEnvironment } from './environment.ts';
import { forecastRows, type LoadedModel, loadModel } from './loaded-model.ts';
import { sha256 } from './sha256.ts';
import { openRelease } from './signed-release.ts';

interface RegionFeaturesHeld {
	version: number;
	as_of: number;
	values: FeatureVector;
	busy_drivers: number | null;
	forecasts: { champion: Forecast; canary: Forecast | null };
}
/** The models of a release that are open here. */
interface Models {
	champion: LoadedModel | undefined;
	canary: LoadedModel | undefined;
	shadows: LoadedModel[];
	/** Why a model of the release is not among them; then its predecessor is, or none. */
	trouble: string | null;
}
/** Models ready to be used, and what they say of the features that were held. */
interface Prepared {
	models: Models;
	forecasts: Map<string, [version: number, RegionFeaturesHeld['forecasts']]>;
}
const NO_MODELS: Models = { champion: undefined, canary: undefined, shadows: [], trouble: null };
type StoredRegion = [region_id: string, version: number, as_of: number, values: FeatureVector, busy_drivers: number | null, usual_week: number[] | null];
/** The last frame whose features are stored. */
interface StoredFrame {
	epoch: number;
	seq: number;
	now: number | null;
}
interface Built {
	snapshot: Snapshot;
	/** Ready to be joined into an answer. */
	text: string;
	/** By the deployment clock: the usual in it is of this instant. */
	built_at: number;
}

/** Refusals of this life of the object, beside what the reconciler compares. */
export interface ShardReport extends ShardState {
	refused: { frames: number; releases: number };
	models: ShardModels;
}

/** Regions in one stored value: with its usual week a region has up to 4 KB, and a value of an object's storage 2 MB at most. */
const STORED_REGIONS = 250;

/** A model that could not be opened is tried again after this time. */
const MODELS_RETRY_MS = 30_000;

const byPulse = (values: FeatureVector) => ({ champion: pulse(values), canary: null });

const versionOf = (epoch: number, seq: number): number => epoch * 2 ** 32 + seq;

/**
 * `shard/<n>`: the regions of partition n of the log: their catalogue entries, features, forecasts and the release in force.
 * Entries, freezes, releases and rule sets are stored before they are acknowledged; features every 30 s and with each new epoch, so that no zombie of an
 * older one is heard after an eviction. The next whole frame brings the rest back.
 */
export class Shard extends DurableObject<ShardEnvironment> {
	readonly #entries = new Map<string, Region>();
	readonly #bodies = new Map<string, string>();
	readonly #features = new Map<string, RegionFeaturesHeld>();
	readonly #usualWeeks = new Map<string, number[]>();
	readonly #built = new Map<string, Built>();
	#pointer: ReleasePointer | undefined;
	#release: Release | undefined;
	#epoch = 0;
	#seq = 0;
	/** The city's clock under --replay. */
	#now: number | null = null;
	/** Memory was lost and a whole frame has not come yet. */
	#wholeWanted = true;
	#storedAt = Date.now();
	/** Names the snapshots of this life of the object. */
	readonly #life = crypto.randomUUID().slice(0, 13);
	#snapshots = 0;
	#asked = { second: 0, count: 0, before: 0 };
	readonly #refused = { frames: 0, releases: 0 };
	#models = NO_MODELS;
	/** The release whose models are wanted by the last attempt, and when it began: a failed one is tried again. */
	#modelsTried = { release: 0, at: 0 };
	/** Model outputs that left their declared range, in this life. */
	#clamped = 0;

	constructor(ctx: DurableObjectState, env: ShardEnvironment) {
		super(ctx, env);
		ctx.storage.sql.exec(
			`CREATE TABLE IF NOT EXISTS entry (region_id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
			 CREATE TABLE IF NOT EXISTS rule_set (digest TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
			 CREATE TABLE IF NOT EXISTS features (part INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
			 CREATE TABLE IF NOT EXISTS value (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT`,
		);
		this.#hydrate();
		// `pulse` forecasts until they are there: no price waits for ONNX Runtime.
		if (this.#release) ctx.waitUntil(this.#fetchModels());
	}

	/** Takes the catalogue entries that are newer than those held; an older one is a success that changes nothing. Stored when this returns. */
	async takeEntries(entries: Region[]): Promise<void> {
		for (const entry of entries) {
			if (entry.version <= (this.#entries.get(entry.region_id)?.version ?? 0)) continue;
			this.ctx.storage.sql.exec('INSERT OR REPLACE INTO entry (region_id, body) VALUES (?, ?)', entry.region_id, JSON.stringify(entry));
			this.#entries.set(entry.region_id, entry);
			this.#built.delete(entry.region_id);
		}
	}

	/**
	 * Takes a release that is newer than the one held, whole or not at all: every rule set's body must be at hand (pushed, held, or in KV).
	 * Newer clients' keys are taken with the same or a newer release. Returns the number now in force. Stored when this returns.
	 * @throws on a bad signature or a missing body; then the release held stays in force.
	 */
	async takeRelease(pointer: ReleasePointer, bodies: Record<string, string>): Promise<number> {
		let opened: { release: Release; found: (readonly [digest: string, body: string])[] };
		try {
			opened = await this.#open(pointer, bodies);
		} catch (error) {
			this.#refused.releases += 1;
			console.warn(JSON.stringify({ message: 'a release is refused', held: this.#release?.release ?? null, error: String(error) }));
			throw error;
		}
		const { release, found } = opened;
		// The forecasts are there before the swap, unless that takes too long; then they follow it.
		const preparing = release.release > (this.#release?.release ?? 0) ? this.#prepareModels(release) : undefined;
		const prepared = preparing && (await patience(preparing, limits.release_push_ms));
		// Others ran while this waited: compare only now.
		const held = this.#release?.release ?? 0;
		if (release.release < held) {
			this.#refused.releases += 1;
			if (preparing) this.ctx.waitUntil(preparing.then(({ models }) => this.#closeUnused(models)));
			return held;
		}
		const wanted = found.map(([digest]) => digest);
		const keys = this.#pointer && this.#pointer.keys.version > pointer.keys.version ? this.#pointer.keys : pointer.keys;
		const next: ReleasePointer = { jws: pointer.jws, keys };
		this.ctx.storage.transactionSync(() => {
			const { sql } = this.ctx.storage;
			for (const [digest, body] of found) if (!this.#bodies.has(digest)) sql.exec('INSERT OR REPLACE INTO rule_set (digest, body) VALUES (?, ?)', digest, body);
			for (const digest of this.#bodies.keys()) if (!wanted.includes(digest)) sql.exec('DELETE FROM rule_set WHERE digest = ?', digest);
			this.#store('release', { pointer: next, release });
		});
		this.#bodies.clear();
		for (const [digest, body] of found) this.#bodies.set(digest, body);
		this.#pointer = next;
		if (release.release > held) {
			this.#release = release;
			this.#built.clear();
			if (prepared) this.#useModels(prepared);
			else if (preparing) this.ctx.waitUntil(preparing.then((late) => (this.#release === release ? this.#useModels(late) : this.#closeUnused(late.models))));
		}
		return release.release;
	}

	/** The release of a pointer, its signature checked, and the bodies of its rule sets: held, pushed or from KV, their digests checked. */
	async #open(pointer: ReleasePointer, bodies: Record<string, string>) {
		const release = await openRelease(pointer.jws, this.env);
		const digests = [...new Set(Object.values(release.rule_sets).map((ruleSet) => ruleSet.digest))];
		const found = await Promise.all(
			digests.map(async (digest) => {
				const held = this.#bodies.get(digest);
				if (held !== undefined) return [digest, held] as const;
				const body = bodies[digest] ?? (await this.env.RELEASES.get(`rule-set/${digest}`));
				if (body === null) throw new Error(`Cannot take release ${release.release}: nobody has the body of rule set ${digest}`);
				if ((await sha256(body)) !== digest) throw new Error(`Cannot take release ${release.release}: the body of rule set ${digest} is another one`);
				return [digest, body] as const;
			}),
		);
		return { release, found };
	}

	/** Takes a frame whose (epoch, seq) is greater than the pair held, and forecasts its regions. A refusal names the pair held. */
	async takeFrame(frame: Frame): Promise<FrameAnswer> {
		const answer = (taken: boolean, unknown: string[] = []): FrameAnswer => ({
			shard: frame.shard,
			taken,
			epoch: this.#epoch,
			seq: this.#seq,
			whole_wanted: this.#wholeWanted,
			unknown,
		});
		const isOld = () => frame.epoch < this.#epoch || (frame.epoch === this.#epoch && frame.seq <= this.#seq);
		const models = this.#models;
		const forecasts = isOld()
			? []
			: await this.#forecast(
					frame.regions.map(({ values }) => values),
					models,
				);
		// Others may have come while the models ran.
		if (isOld()) {
			this.#refused.frames += 1;
			return answer(false);
		}
		const isNewEpoch = frame.epoch > this.#epoch;
		this.#epoch = frame.epoch;
		this.#seq = frame.seq;
		this.#now = frame.now;
		if (frame.whole) this.#wholeWanted = false;
		const version = versionOf(frame.epoch, frame.seq);
		const unknown: string[] = [];
		for (const [index, { region_id, values, busy_drivers, usual_week }] of frame.regions.entries()) {
			if (!this.#entries.has(region_id)) {
				unknown.push(region_id);
				continue;
			}
			if (usual_week) this.#usualWeeks.set(region_id, usual_week);
			this.#features.set(region_id, { version, as_of: frame.as_of, values, busy_drivers, forecasts: forecasts[index] ?? byPulse(values) });
			this.#built.delete(region_id);
		}
		if (models !== this.#models) this.ctx.waitUntil(this.#forecastAgain());
		if (this.#models.trouble !== null && frame.whole && Date.now() - this.#modelsTried.at > MODELS_RETRY_MS) this.ctx.waitUntil(this.#fetchModels());
		if (isNewEpoch || Date.now() - this.#storedAt >= limits.features_store_ms) this.#storeFeatures();
		return answer(true, unknown);
	}

	/** What a price isolate lacks, as the JSON text of a RefreshAnswer: built here by joining, which is a third cheaper than objects. */
	async refresh(question: RefreshQuestion): Promise<string> {
		const snapshots: string[] = [];
		const unknown: string[] = [];
		const bodies: Record<string, string> = {};
		const held = new Set(question.bodies);
		for (const [regionId, snapshotId] of question.regions) {
			if (!this.#entries.has(regionId)) {
				unknown.push(regionId);
				continue;
			}
			const built = this.#snapshot(regionId);
			if (!built || built.snapshot.snapshot_id === snapshotId) continue;
			snapshots.push(built.text);
			const { digest } = built.snapshot.rule_set;
			const body = this.#bodies.get(digest);
			if (!held.has(digest) && body !== undefined) bodies[digest] = body;
		}
		const keys = this.#pointer?.keys;
		const busy = this.#isBusy();
		// Under a city clock that runs sixty times a second faster a copy is never fresh.
		const soft_ms = this.#now !== null ? 0 : busy ? limits.soft_busy_ms : limits.soft_ms;
		const hard_ms = this.#now !== null ? 0 : busy ? 2 * limits.soft_busy_ms : limits.hard_ms;
		const rest: Omit<RefreshAnswer, 'snapshots'> = {
			release: this.#release?.release ?? null,
			...(keys && keys.version !== question.keys ? { pointer_keys: keys } : {}),
			bodies,
			unknown,
			soft_ms,
			hard_ms,
			now: this.#now,
			models: this.#modelsReport(),
		};
		return `{"snapshots":[${snapshots.join(',')}],${JSON.stringify(rest).slice(1)}`;
	}

	/** What the edge knows of a region, or null without a catalogue entry. */
	async features(regionId: string): Promise<RegionFeatures | null> {
		if (!this.#entries.has(regionId)) return null;
		const held = this.#features.get(regionId);
		return { region_id: regionId, version: held?.version ?? null, as_of: held?.as_of ?? null, now: this.#clock(), values: held?.values ?? null };
	}

	/** What the reconciler compares with the control plane's database. */
	async state(shard: number): Promise<ShardReport> {
		return {
			shard,
			release: this.#release?.release ?? null,
			keys_version: this.#pointer?.keys.version ?? null,
			entries: Object.fromEntries([...this.#entries].map(([id, entry]) => [id, entry.version])),
			epoch: this.#epoch,
			seq: this.#seq,
			as_of: [...this.#features.values()].reduce<number | null>((latest, { as_of }) => Math.max(latest ?? 0, as_of), null),
			refused: { ...this.#refused },
			models: this.#modelsReport(),
		};
	}

	#modelsReport(): ShardModels {
		const named = (model: LoadedModel | undefined) => (model ? `${model.reference.name}@${model.reference.version}` : null);
		const { champion, canary, shadows, trouble } = this.#models;
		return { champion: named(champion), canary: named(canary), shadows: shadows.map((shadow) => named(shadow) ?? ''), trouble, clamped: this.#clamped };
	}

	/** The forecasts of these features by every model of the release, a run each. */
	async #forecast(rows: readonly FeatureVector[], { champion, canary, shadows }: Models): Promise<RegionFeaturesHeld['forecasts'][]> {
		const by = async (model: LoadedModel | undefined) => {
			const { forecasts, clamped } = await forecastRows(model, rows);
			this.#clamped += clamped;
			return forecasts;
		};
		try {
			const first = await by(champion);
			const second = canary ? await by(canary) : [];
			// Shadows run on everything and price nothing: what they would cost and whether they hold is seen before they are promoted.
			for (const shadow of shadows) await by(shadow);
			return rows.map((values, index) => ({ champion: first[index] ?? pulse(values), canary: second[index] ?? null }));
		} catch (error) {
			this.#models = { ...this.#models, trouble: `a run failed: ${error instanceof Error ? error.message : String(error)}` };
			console.error(JSON.stringify({ message: 'a model does not run', error: this.#models.trouble }));
			return rows.map(byPulse);
		}
	}

	/** The models of a release, opened; one that fails leaves its predecessor. With them the forecasts of what is held. Never throws. */
	async #prepareModels({ release, models }: Release): Promise<Prepared> {
		this.#modelsTried = { release, at: Date.now() };
		const before = this.#models;
		const open = [before.champion, before.canary, ...before.shadows].filter((model) => model !== undefined);
		const troubles: string[] = [];
		const opened = async (reference: ModelReference | null): Promise<LoadedModel | undefined> => {
			if (!reference) return undefined;
			const held = open.find((model) => model.reference.digest === reference.digest && model.reference.manifest === reference.manifest);
			if (held) return held;
			try {
				return await loadModel(reference, this.env);
			} catch (error) {
				troubles.push(error instanceof Error ? error.message : String(error));
				return undefined;
			}
		};
		const champion = await opened(models.champion);
		const canary = await opened(models.canary);
		const shadows: LoadedModel[] = [];
		for (const reference of models.shadows) {
			const shadow = await opened(reference);
			if (shadow) shadows.push(shadow);
		}
		const next: Models = {
			champion: champion ?? (models.champion ? before.champion : undefined),
			canary: canary ?? (models.canary ? before.canary : undefined),
			shadows,
			trouble: troubles.length > 0 ? troubles.join('; ') : null,
		};
		for (const trouble of troubles) console.error(JSON.stringify({ message: 'a model is not in force', release, error: trouble }));
		const rows = [...this.#features];
		const forecasts = await this.#forecast(
			rows.map(([, { values }]) => values),
			next,
		);
		return { models: next, forecasts: new Map(rows.flatMap(([id, { version }], index) => (forecasts[index] ? [[id, [version, forecasts[index]]]] : []))) };
	}

	#useModels({ models, forecasts }: Prepared): void {
		const before = this.#models;
		this.#models = models;
		for (const [id, [version, made]] of forecasts) {
			const held = this.#features.get(id);
			if (held?.version === version) held.forecasts = made;
		}
		this.#built.clear();
		this.#closeUnused(before);
		if (before !== models) this.ctx.waitUntil(this.#forecastAgain());
	}

	/** Ends the sessions of models that are no longer in force, or never came to be. */
	#closeUnused({ champion, canary, shadows }: Models): void {
		const kept = new Set([this.#models.champion, this.#models.canary, ...this.#models.shadows]);
		for (const model of [champion, canary, ...shadows]) if (model && !kept.has(model)) this.ctx.waitUntil(model.session.close());
	}

	/** Forecasts once more what was forecast by models that are no longer in force: frames that came while others were opened. */
	async #forecastAgain(): Promise<void> {
		const models = this.#models;
		const wanted = models.champion ? `${models.champion.reference.name}@${models.champion.reference.version}` : 'pulse';
		const rows = [...this.#features].filter(([, { forecasts }]) => forecasts.champion.model !== wanted && !forecasts.champion.out_of_domain);
		if (rows.length === 0) return;
		const forecasts = await this.#forecast(
			rows.map(([, { values }]) => values),
			models,
		);
		if (models !== this.#models) return; // whoever changed them does it
		for (const [index, [id, row]] of rows.entries()) {
			const held = this.#features.get(id);
			const made = forecasts[index];
			if (held?.version !== row.version || !made) continue;
			held.forecasts = made;
			this.#built.delete(id);
		}
	}

	/** Opens the models of the release in force: after an eviction, and again when one failed. */
	async #fetchModels(): Promise<void> {
		const release = this.#release;
		if (!release) return;
		const prepared = await this.#prepareModels(release);
		if (this.#release === release) this.#useModels(prepared);
		else this.#closeUnused(prepared.models);
	}

	#clock(): number {
		return this.#now ?? Date.now();
	}

	/** Whether this second or the one before has more questions than the limit; counts this one. */
	#isBusy(): boolean {
		const second = Math.floor(Date.now() / 1000);
		const { second: last, count } = this.#asked;
		if (last !== second) this.#asked = { second, count: 0, before: last === second - 1 ? count : 0 };
		this.#asked.count += 1;
		return Math.max(this.#asked.count, this.#asked.before) > limits.shard_busy_per_second;
	}

	/** The current snapshot of a region with an entry; undefined while there is no release, or none that has the region's rule set. */
	#snapshot(regionId: string): Built | undefined {
		const held = this.#built.get(regionId);
		const now = this.#clock();
		// A baseline's usual is of the hour: it must not grow old where no frames come any more.
		if (held && (held.snapshot.usual === null || Math.abs(now - held.built_at) < limits.usual_refresh_ms)) return held;
		const entry = this.#entries.get(regionId);
		const ruleSet = entry && this.#release?.rule_sets[entry.rule_set];
		if (!entry || !this.#release || !ruleSet) return undefined;
		const { region_id, name, time_zone, rule_set, location_hint, minutes_per_booking, frozen, version } = entry;
		const features = this.#features.get(regionId);
		const week = this.#usualWeeks.get(regionId) ?? entry.profile;
		const snapshot: Snapshot = {
			snapshot_id: `${this.#life}-${++this.#snapshots}`,
			region: { region_id, name, time_zone, rule_set, location_hint, minutes_per_booking, frozen, version },
			release: this.#release.release,
			rule_set: ruleSet,
			features: features ? { version: features.version, as_of: features.as_of, values: features.values, busy_drivers: features.busy_drivers } : null,
			forecasts: features ? { ...features.forecasts, canary_percent: this.#release.models.canary?.percent ?? 0 } : null,
			usual: week ? usualForecast(usualAt({ week, at: now, time_zone })) : null,
		};
		const built = { snapshot, text: JSON.stringify(snapshot), built_at: now };
		this.#built.set(regionId, built);
		return built;
	}

	#store(name: string, value: unknown): void {
		this.ctx.storage.sql.exec('INSERT OR REPLACE INTO value (name, body) VALUES (?, ?)', name, JSON.stringify(value));
	}

	#storeFeatures(): void {
		this.#storedAt = Date.now();
		const regions = [...this.#features].map(
			([id, { version, as_of, values, busy_drivers }]): StoredRegion => [id, version, as_of, values, busy_drivers, this.#usualWeeks.get(id) ?? null],
		);
		this.ctx.storage.transactionSync(() => {
			const { sql } = this.ctx.storage;
			sql.exec('DELETE FROM features');
			for (let part = 0; part * STORED_REGIONS < regions.length; part++) {
				const own = regions.slice(part * STORED_REGIONS, (part + 1) * STORED_REGIONS);
				sql.exec('INSERT INTO features (part, body) VALUES (?, ?)', part, JSON.stringify(own));
			}
			this.#store('frame', { epoch: this.#epoch, seq: this.#seq, now: this.#now } satisfies StoredFrame);
		});
	}

	#hydrate(): void {
		const { sql } = this.ctx.storage;
		for (const { body } of sql.exec<{ body: string }>('SELECT body FROM entry')) {
			const entry = JSON.parse(body) as Region;
			this.#entries.set(entry.region_id, entry);
		}
		for (const { digest, body } of sql.exec<{ digest: string; body: string }>('SELECT digest, body FROM rule_set')) this.#bodies.set(digest, body);
		for (const { name, body } of sql.exec<{ name: string; body: string }>('SELECT name, body FROM value')) {
			if (name === 'release') {
				const stored = JSON.parse(body) as { pointer: ReleasePointer; release: Release };
				this.#pointer = stored.pointer;
				this.#release = stored.release;
			} else if (name === 'frame') {
				const stored = JSON.parse(body) as StoredFrame;
				this.#epoch = stored.epoch;
				this.#seq = stored.seq;
				this.#now = stored.now;
			}
		}
		for (const { body } of sql.exec<{ body: string }>('SELECT body FROM features')) {
			for (const [id, version, as_of, values, busy_drivers, week] of JSON.parse(body) as StoredRegion[]) {
				this.#features.set(id, { version, as_of, values, busy_drivers, forecasts: byPulse(values) });
				if (week) this.#usualWeeks.set(id, week);
			}
		}
	}
}
