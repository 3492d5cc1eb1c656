import { DurableObject } from 'cloudflare:workers';
import { pulse } from '#models/forecast/pulse.ts';
import { usualAt, usualForecast } from '#models/forecast/usual.ts';
import type { FeatureVector } from '#schemas/feature.ts';
import type { Forecast } from '#schemas/forecast.ts';
import type { Frame, FrameAnswer, RefreshAnswer, RefreshQuestion, RegionFeatures, ShardState } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';
import type { Region } from '#schemas/region.ts';
import type { Release, ReleasePointer } from '#schemas/release.ts';
import type { Snapshot } from '#schemas/snapshot.ts';
import type { ShardEnvironment } from './environment.ts';
import { sha256 } from './sha256.ts';
import { openRelease } from './signed-release.ts';

interface RegionFeaturesHeld {
	version: number;
	as_of: number;
	values: FeatureVector;
	busy_drivers: number | null;
	forecast: Forecast;
}
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
}

/** Regions in one stored value: with its usual week a region has up to 4 KB, and a value of an object's storage 2 MB at most. */
const STORED_REGIONS = 250;

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

	constructor(ctx: DurableObjectState, env: ShardEnvironment) {
		super(ctx, env);
		ctx.storage.sql.exec(
			`CREATE TABLE IF NOT EXISTS entry (region_id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
			 CREATE TABLE IF NOT EXISTS rule_set (digest TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
			 CREATE TABLE IF NOT EXISTS features (part INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
			 CREATE TABLE IF NOT EXISTS value (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT`,
		);
		this.#hydrate();
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
		// Others ran while this waited: compare only now.
		const held = this.#release?.release ?? 0;
		if (release.release < held) {
			this.#refused.releases += 1;
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
		if (frame.epoch < this.#epoch || (frame.epoch === this.#epoch && frame.seq <= this.#seq)) {
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
		for (const { region_id, values, busy_drivers, usual_week } of frame.regions) {
			if (!this.#entries.has(region_id)) {
				unknown.push(region_id);
				continue;
			}
			if (usual_week) this.#usualWeeks.set(region_id, usual_week);
			this.#features.set(region_id, { version, as_of: frame.as_of, values, busy_drivers, forecast: pulse(values) });
			this.#built.delete(region_id);
		}
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
		};
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
			forecasts: features ? { champion: features.forecast, canary: null } : null,
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
				this.#features.set(id, { version, as_of, values, busy_drivers, forecast: pulse(values) });
				if (week) this.#usualWeeks.set(id, week);
			}
		}
	}
}
