import { DurableObject } from 'cloudflare:workers';
import { pulse } from '#models/forecast/pulse.ts';
import { usualAt, usualForecast } from '#models/forecast/usual.ts';
import type { Frame, FrameAnswer, RefreshAnswer, RefreshQuestion, RegionFeatures, ShardModels, ShardState } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import type { Region } from '#schemas/region.ts';
import type { Release, ReleasePointer } from '#schemas/release.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import { openRelease } from '../open-release.ts';
import { patience } from '../patience.ts';
import { sha256 } from '../sha256.ts';
import type { ShardEnvironment } from './environment.ts';
import { hasMirror, type Mirrored, readFeatureMirror } from './feature-mirror.ts';
import type { HeldFeatures } from './held-features.ts';
import { ModelsInForce, type Prepared } from './models-in-force.ts';
import { ShardStorage, type StoredRegion } from './shard-storage.ts';

interface Built {
	snapshot: Snapshot;
	/** Ready to be joined into an answer. */
	text: string;
	/** By the deployment clock: the usual in it is of this instant. */
	built_at: number;
}

/** Refusals of this life of the object, beside what the reconciler compares. */
export interface ShardReport extends ShardState {
	refused: { frames: number; releases: number; entries: number };
	models: ShardModels;
}

const versionOf = (epoch: number, seq: number): number => epoch * 2 ** 32 + seq;

/**
 * `shard/<n>`: the regions of partition n of the log: their catalogue entries, features, forecasts and the release in force.
 * Entries, freezes, releases and rule sets are stored before they are acknowledged; features every 30 s and with each new epoch, so that no zombie of an
 * older one is heard after an eviction. The next whole frame brings the rest back.
 */
export class Shard extends DurableObject<ShardEnvironment> {
	readonly #entries = new Map<string, Region>();
	#bodies = new Map<string, string>();
	readonly #features = new Map<string, HeldFeatures>();
	readonly #usualWeeks = new Map<string, number[]>();
	readonly #built = new Map<string, Built>();
	#pointer: ReleasePointer | undefined;
	#release: Release | undefined;
	#epoch = 0;
	#seq = 0;
	/** The city's clock under --replay. */
	#now: number | null = null;
	/** Of the last frame taken. */
	#asOf: number | null = null;
	/** Memory was lost and a whole frame has not come yet. */
	#wholeWanted = true;
	#storedAt = Date.now();
	/** Names the snapshots of this life of the object. */
	readonly #life = crypto.randomUUID().slice(0, 13);
	#snapshots = 0;
	#asked = { second: 0, count: 0, before: 0 };
	readonly #refused = { frames: 0, releases: 0, entries: 0 };
	readonly #storage: ShardStorage;
	readonly #models: ModelsInForce;

	constructor(ctx: DurableObjectState, env: ShardEnvironment) {
		super(ctx, env);
		this.#storage = new ShardStorage(ctx.storage);
		this.#models = new ModelsInForce(ctx, { env, features: this.#features, changed: (regionId) => this.#built.delete(regionId) });
		this.#hydrate();
		if (this.#release) ctx.waitUntil(this.#openModels(this.#release));
		// What was stored just now is as young as the mirror.
		if (this.#epoch === 0 || Date.now() - this.#storedAt >= limits.mirror_flush_ms) this.#catchUp([...this.#entries.keys()]);
	}

	/**
	 * Takes the catalogue entries that are newer than those held; an older one is a success that changes nothing. Stored when this returns.
	 * @throws for new regions beyond the limit, when all others are taken.
	 */
	async takeEntries(entries: Region[]): Promise<void> {
		const beyond: string[] = [];
		const fresh: string[] = [];
		for (const entry of entries) {
			const id = entry.region_id;
			const held = this.#entries.get(id);
			if (held && entry.version <= held.version) continue;
			if (!held && this.#entries.size >= limits.shard_regions_max) {
				beyond.push(id);
				continue;
			}
			this.#storage.putEntry(entry);
			this.#entries.set(id, entry);
			this.#built.delete(id);
			if (!held) fresh.push(id);
		}
		this.#catchUp(fresh); // an object that lost what it stored as well gets its entries back before the next whole frame
		if (beyond.length === 0) return;
		this.#refused.entries += beyond.length;
		const others = beyond.length > 1 ? ` and ${beyond.length - 1} more` : '';
		throw new Error(`Cannot take region "${beyond[0]}"${others}: the shard has ${limits.shard_regions_max} regions already; more PARTITIONS are wanted`);
	}

	/**
	 * Takes a release that is newer than the one held, whole or not at all: every rule set's body must be at hand (pushed, held, or in KV).
	 * Newer clients' keys are taken with the same or a newer release. Returns the number now in force. Stored when this returns.
	 * @throws on a bad signature, a missing body, or another release of the number held; then that one stays in force.
	 */
	async takeRelease(pointer: ReleasePointer, bodies: Record<string, string>): Promise<number> {
		let opened: { release: Release; found: Map<string, string> };
		try {
			opened = await this.#open(pointer, bodies);
		} catch (error) {
			throw this.#refusedRelease(error);
		}
		const { release, found } = opened;
		// The forecasts are there before the swap, unless that takes too long; then they follow it.
		const preparing = release.release > (this.#release?.release ?? 0) ? this.#models.prepare(release) : undefined;
		const prepared = preparing && (await patience(preparing, limits.release_push_ms));
		// Others ran while this waited: compare only now.
		const held = this.#release?.release ?? 0;
		if (release.release < held) {
			this.#refused.releases += 1;
			if (preparing) this.ctx.waitUntil(preparing.then((late) => this.#models.drop(late)));
			return held;
		}
		// Immutable: a number that is given twice (a control plane restored from a backup) must not leave memory and storage apart.
		if (release.release === held && JSON.stringify(release) !== JSON.stringify(this.#release))
			throw this.#refusedRelease(new Error(`Cannot take release ${held}: another one of this number is in force; a greater number is wanted`));
		const keys = this.#pointer && this.#pointer.keys.version > pointer.keys.version ? this.#pointer.keys : pointer.keys;
		const next: ReleasePointer = { jws: pointer.jws, keys };
		this.#storage.putRelease({ pointer: next, release }, found);
		this.#bodies = found;
		this.#pointer = next;
		if (release.release > held) {
			this.#release = release;
			this.#built.clear();
			if (prepared) this.#models.use(prepared);
			else if (preparing) this.ctx.waitUntil(preparing.then((late) => this.#useOrDrop(release, late)));
		}
		return release.release;
	}

	#refusedRelease(error: unknown): unknown {
		this.#refused.releases += 1;
		console.warn(JSON.stringify({ message: 'a release is refused', held: this.#release?.release ?? null, error: String(error) }));
		return error;
	}

	/** The release of a pointer, its signature checked, and the bodies of its rule sets: held, pushed or from KV, their digests checked. */
	async #open(pointer: ReleasePointer, bodies: Record<string, string>) {
		const release = await openRelease(pointer.jws, this.env);
		const refuse = (what: string) => new Error(`Cannot take release ${release.release}: ${what}`);
		const digests = [...new Set(Object.values(release.rule_sets).map((ruleSet) => ruleSet.digest))];
		const found = await Promise.all(
			digests.map(async (digest) => {
				const held = this.#bodies.get(digest);
				if (held !== undefined) return [digest, held] as const;
				const body = bodies[digest] ?? (await patience(this.env.RELEASES.get(`rule-set/${digest}`), limits.first_wait_ms));
				if (typeof body !== 'string') throw refuse(`nobody has the body of rule set ${digest}`);
				if ((await sha256(body)) !== digest) throw refuse(`the body of rule set ${digest} is another one`);
				return [digest, body] as const;
			}),
		);
		const chars = found.reduce((sum, [, body]) => sum + body.length, 0);
		if (chars > limits.release_bodies_chars_max) throw refuse(`its rule sets have ${chars} characters, at most ${limits.release_bodies_chars_max} are wanted`);
		return { release, found: new Map(found) };
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
		const forecasts = isOld() ? undefined : await this.#models.forecast(frame.regions.map(({ values }) => values));
		// Others may have come while the models ran.
		if (!forecasts || isOld()) {
			this.#refused.frames += 1;
			return answer(false);
		}
		const isNewEpoch = frame.epoch > this.#epoch;
		this.#epoch = frame.epoch;
		this.#seq = frame.seq;
		this.#now = frame.now;
		this.#asOf = frame.as_of;
		if (frame.whole) this.#wholeWanted = false;
		const version = versionOf(frame.epoch, frame.seq);
		const unknown: string[] = [];
		for (const [index, { region_id, values, busy_drivers, usual_week }] of frame.regions.entries()) {
			if (!this.#entries.has(region_id)) {
				unknown.push(region_id);
				continue;
			}
			if (usual_week) this.#usualWeeks.set(region_id, usual_week);
			this.#features.set(region_id, { version, as_of: frame.as_of, values, busy_drivers, forecasts: forecasts.made[index]! }); // one for each region
			this.#built.delete(region_id);
		}
		this.#models.settle(forecasts.by);
		if (frame.whole && this.#release && this.#models.retryIsDue()) this.ctx.waitUntil(this.#openModels(this.#release));
		if (isNewEpoch || Date.now() - this.#storedAt >= limits.features_store_ms) this.#storeFeatures();
		return answer(true, unknown);
	}

	/**
	 * Asks the mirror for features newer than those stored, behind every answer: meanwhile answers come from what is held, down the ladder. Only until the first
	 * whole frame, and on the wall clock alone.
	 */
	#catchUp(regionIds: string[]): void {
		if (regionIds.length === 0 || !this.#wholeWanted || this.#now !== null || !hasMirror(this.env)) return;
		const since = versionOf(this.#epoch, this.#seq);
		const work = async () => {
			const size = limits.mirror_ask_regions_max;
			for (let at = 0; at < regionIds.length; at += size) {
				const page = regionIds.slice(at, at + size);
				let found = await readFeatureMirror(page, this.env);
				for (let tries = 1; !found && tries < limits.mirror_tries_max && this.#wholeWanted; tries++) {
					await new Promise((resolve) => setTimeout(resolve, limits.mirror_retry_ms));
					found = await readFeatureMirror(page, this.env);
				}
				if (!found || !this.#wholeWanted) return;
				await this.#takeMirrored(found, since);
			}
		};
		this.ctx.waitUntil(work());
	}

	/**
	 * The mirror is believed as far as it can do no harm: it never moves the pair by which frames are accepted, and its features get no version above the pair that
	 * was held at the start, so that whatever it says the next frame is newer, here and in the isolates. What a frame of this life brought stays.
	 */
	async #takeMirrored(found: ReadonlyMap<string, Mirrored>, since: number): Promise<void> {
		const isNews = ({ region_id, epoch, seq, as_of }: NonNullable<Mirrored['features']>): boolean => {
			if (!this.#entries.has(region_id) || as_of > Date.now()) return false;
			const held = this.#features.get(region_id);
			return !held || (held.version <= since && versionOf(epoch, seq) > held.version && as_of > held.as_of);
		};
		const rows = [...found.values()].flatMap(({ features }) => (features && isNews(features) ? [features] : []));
		const { made, by } = await this.#models.forecast(rows.map(({ values }) => values));
		for (const [index, row] of rows.entries()) {
			if (!isNews(row)) continue; // a frame came while the models ran
			const { region_id, epoch, seq, as_of, values, busy_drivers } = row;
			this.#features.set(region_id, { version: Math.min(versionOf(epoch, seq), since), as_of, values, busy_drivers, forecasts: made[index]! }); // one for each row
			this.#built.delete(region_id);
		}
		for (const [id, { usual_week }] of found) {
			if (!usual_week || this.#usualWeeks.has(id)) continue;
			this.#usualWeeks.set(id, usual_week);
			this.#built.delete(id);
		}
		this.#models.settle(by);
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
		const hard_ms = this.#now !== null ? 0 : busy ? limits.hard_busy_ms : limits.hard_ms;
		const rest: Omit<RefreshAnswer, 'snapshots'> = {
			release: this.#release?.release ?? null,
			...(keys && keys.version !== question.keys ? { pointer_keys: keys } : {}),
			bodies,
			unknown,
			soft_ms,
			hard_ms,
			now: this.#now,
			as_of: this.#asOf,
			models: this.#models.report(),
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
			as_of: this.#asOf,
			refused: { ...this.#refused },
			models: this.#models.report(),
		};
	}

	/** Opens the models of the release in force: after an eviction, and again when one failed. */
	async #openModels(release: Release): Promise<void> {
		this.#useOrDrop(release, await this.#models.prepare(release));
	}

	/** Others may have taken another release while these were prepared. */
	#useOrDrop(release: Release, prepared: Prepared): void {
		if (this.#release === release) this.#models.use(prepared);
		else this.#models.drop(prepared);
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

	#storeFeatures(): void {
		this.#storedAt = Date.now();
		const regions = [...this.#features].map(
			([id, { version, as_of, values, busy_drivers }]): StoredRegion => [id, version, as_of, values, busy_drivers, this.#usualWeeks.get(id) ?? null],
		);
		this.#storage.putFeatures(regions, { epoch: this.#epoch, seq: this.#seq, now: this.#now, stored_at: this.#storedAt });
	}

	#hydrate(): void {
		for (const entry of this.#storage.entries()) this.#entries.set(entry.region_id, entry);
		this.#bodies = this.#storage.ruleSets();
		const stored = this.#storage.release();
		this.#pointer = stored?.pointer;
		this.#release = stored?.release;
		const frame = this.#storage.frame();
		if (!frame) return;
		this.#epoch = frame.epoch;
		this.#seq = frame.seq;
		this.#now = frame.now;
		this.#storedAt = frame.stored_at;
		for (const [id, version, as_of, values, busy_drivers, week] of this.#storage.regions()) {
			this.#features.set(id, { version, as_of, values, busy_drivers, forecasts: { champion: pulse(values), canary: null } });
			this.#asOf = Math.max(this.#asOf ?? 0, as_of);
			if (week) this.#usualWeeks.set(id, week);
		}
	}
}
