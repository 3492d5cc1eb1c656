import type { Promotion } from '#schemas/control-plane-routes.ts';
import { formatInstant } from '#schemas/instant.ts';
import { limits } from '#schemas/limits.ts';
import type { ClientKeys, ModelReference, Release, ReleasePointer } from '#schemas/release.ts';
import { recordConfigChange } from './database/config-changes.ts';
import { type Connection, lockConfiguration } from './database/database.ts';
import { readModel, readModelBytes } from './database/models.ts';
import { regionsWithout } from './database/regions.ts';
import { readCurrentRelease, readRelease, recordAcknowledgements, type StoredRelease } from './database/releases.ts';
import { readBodies, readRuleSet } from './database/rule-sets.ts';
import type { Refused } from './door.ts';
import type { Edge } from './edge.ts';
import { createExclusive } from './exclusive.ts';
import type { Keys } from './keys.ts';
import { errorText, logLine } from './log-line.ts';
import { makeRelease } from './make-release.ts';
import { UnavailableError } from './unavailable-error.ts';

/** Who makes a change, when (wall clock) and by which call. */
export interface Author {
	at: number;
	who: string;
	what: string;
}

export interface Publishing {
	/** A new release with this version in place of its name's last. Answers when it is committed and a push was tried; the rest is the reconciler's. */
	publish(version: number, author: Author): Promise<Release | Refused>;
	/** A new release in which this registered model is champion, canary with its share, or shadow. */
	promote(model: { name: string; version: number }, place: Promotion, author: Author): Promise<Release | Refused>;
	/** A new release with the content of an old one. */
	rollback(number: number, author: Author): Promise<Release | Refused>;
	/** Pushes the release in force, with the clients' keys, to these shards, and notes who took it. @throws UnavailableError */
	push(shards: readonly number[]): Promise<{ failed: { shard: number; error: string }[] }>;
	/** Pushes the release in force to this shard unless it is known to have it. @throws UnavailableError when it does not take it. */
	ensureShard(shard: number): Promise<void>;
	/** What a shard said that it has. */
	noteShard(shard: number, number: number): Promise<void>;
	/** Writes the bodies, the models and the pointer to KV where it lacks them. @throws UnavailableError */
	ensureKv(): Promise<void>;
	/** Resolves when no push is under way. */
	settled(): Promise<void>;
}

interface PublishingOptions {
	connection: Connection;
	edge: Edge;
	keys: Keys;
	clientKeys: () => ClientKeys;
	partitions: number;
	/** Called when a push left a shard or KV behind. */
	onIncomplete: () => void;
}

const sleep = (ms: number) =>
	new Promise<void>((resolve) => {
		setTimeout(resolve, ms).unref();
	});

/** The models in force once this one has its new place: a model has one place only. */
export function placed({ champion, canary, shadows }: Release['models'], model: ModelReference, place: Promotion): Release['models'] {
	const isIt = (other: ModelReference | null) => other !== null && other.name === model.name && other.version === model.version;
	const elsewhere: Release['models'] = {
		champion: isIt(champion) ? null : champion,
		canary: isIt(canary) ? null : canary,
		shadows: shadows.filter((shadow) => !isIt(shadow)),
	};
	switch (place.to) {
		case 'champion':
			return { ...elsewhere, champion: model };
		case 'canary':
			return { ...elsewhere, canary: { ...model, percent: place.percent ?? 0 } };
		case 'shadow':
			return { ...elsewhere, shadows: [...elsewhere.shadows, model] };
	}
}

/** One release at a time. The order of side effects is the promise: a release that is committed can be read by every Shard from KV. */
export function createPublishing({ connection, edge, keys, clientKeys, partitions, onIncomplete }: PublishingOptions): Publishing {
	const oneRelease = createExclusive();
	const oneKvWrite = createExclusive();
	/** Digests whose bodies KV gave back to this process. */
	const inKv = new Set<string>();
	let pointerInKv: string | undefined;
	/** The release that each shard last said it has. */
	const held = new Map<number, number>();
	/** A shard had a greater number than the database: it was restored from a backup, and the next release goes above. */
	let numberFloor = 0;
	const underWay = new Set<Promise<void>>();

	const putBodies = async (bodies: ReadonlyMap<string, string>): Promise<void> => {
		for (const [digest, text] of bodies) {
			if (inKv.has(digest)) continue;
			const key = `rule-set/${digest}`;
			await edge.putBody(key, text);
			if ((await edge.getBody(key)) !== text) throw new UnavailableError('The edge does not give back the rule set that it was sent.');
			inKv.add(digest);
		}
	};

	/** A release's models in KV, by their digests. What comes back must be what was sent. */
	const putModels = async (references: readonly ModelReference[]): Promise<void> => {
		for (const { name, version, digest, manifest } of references) {
			if (inKv.has(digest) && inKv.has(manifest)) continue;
			const stored = await readModel(connection, { name, version });
			const bytes = await readModelBytes(connection, { name, version });
			if (!stored || !bytes) throw new Error(`A release names model ${name}@${version}, which the database does not have`);
			for (const [key, sent] of [
				[`model/${digest}`, bytes],
				[`manifest/${manifest}`, new TextEncoder().encode(stored.manifest_text)],
			] as const) {
				await edge.putBytes(key, sent);
				const held = await edge.getBytes(key);
				if (!held || Buffer.compare(held, sent) !== 0) throw new UnavailableError('The edge does not give back the model that it was sent.');
			}
			inKv.add(digest).add(manifest);
		}
	};
	const modelsOf = ({ champion, canary, shadows }: Release['models']): ModelReference[] => [champion, canary, ...shadows].filter((model) => model !== null);

	const pointerOf = ({ jws }: StoredRelease): ReleasePointer => ({ jws, keys: clientKeys() });

	const bodiesOf = async ({ content }: StoredRelease): Promise<Map<string, string>> =>
		readBodies(
			connection,
			Object.values(content.rule_sets).map(({ version }) => version),
		);

	/** The bodies that fit into one call; a Shard has the others, or reads them from KV. */
	const bodiesToPush = async (stored: StoredRelease): Promise<Record<string, string>> => {
		let bytes = 0;
		const newestFirst = Object.values(stored.content.rule_sets).sort((a, b) => b.version - a.version);
		const bodies = await bodiesOf(stored);
		const fitting: Record<string, string> = {};
		for (const { digest } of newestFirst) {
			const text = bodies.get(digest);
			if (text === undefined) throw new Error(`Release ${stored.content.release} names rule set ${digest}, which the database does not have`);
			bytes += Buffer.byteLength(JSON.stringify(text));
			if (bytes > limits.internal_body_bytes_max - limits.body_bytes_max) break;
			fitting[digest] = text;
		}
		return fitting;
	};

	const note = async (shards: readonly { shard: number; release: number }[]): Promise<void> => {
		for (const { shard, release } of shards) {
			held.set(shard, release);
			numberFloor = Math.max(numberFloor, release);
		}
		await recordAcknowledgements(connection, { shards, at: Date.now() });
	};

	const pushTo = async (stored: StoredRelease, shards?: readonly number[]): Promise<{ failed: { shard: number; error: string }[] }> => {
		const request = { pointer: pointerOf(stored), bodies: await bodiesToPush(stored), ...(shards ? { shards: [...shards] } : {}) };
		const { acknowledged, failed } = await edge.pushRelease(request);
		await note(acknowledged);
		return { failed };
	};

	/** The pointer in KV never steps back: writes follow one another, and each writes what is in force by then. */
	const ensureKv = (): Promise<void> =>
		oneKvWrite(async () => {
			const stored = await readCurrentRelease(connection);
			if (!stored) return;
			const text = JSON.stringify(pointerOf(stored));
			if (text === pointerInKv) return;
			if (pointerInKv === undefined && (await edge.getBody('release')) === text) {
				pointerInKv = text;
				return;
			}
			await putBodies(await bodiesOf(stored));
			await putModels(modelsOf(stored.content.models));
			await edge.putBody('release', text);
			pointerInKv = text;
		});

	const distribute = async (stored: StoredRelease): Promise<void> => {
		try {
			await ensureKv();
		} catch (error) {
			logLine('warn', { what: 'The release pointer is not in KV yet', release: stored.content.release, error: errorText(error) });
			onIncomplete();
		}
		try {
			const { failed } = await pushTo(stored);
			if (failed.length === 0) return;
			logLine('warn', { what: 'Shards did not take a release yet', release: stored.content.release, failed });
		} catch (error) {
			logLine('warn', { what: 'A release is not at the edge yet', release: stored.content.release, error: errorText(error) });
		}
		onIncomplete();
	};

	/** Waits for the push, but no longer than a POST should take; it goes on behind. */
	const attempt = async (stored: StoredRelease): Promise<void> => {
		const pushing: Promise<void> = distribute(stored).finally(() => underWay.delete(pushing));
		underWay.add(pushing);
		await Promise.race([pushing, sleep(limits.release_push_ms)]);
	};

	const commit = async (
		transaction: Connection,
		{ current, parts, author }: { current: StoredRelease | undefined; parts: Pick<Release, 'rule_sets' | 'models'>; author: Author },
	): Promise<StoredRelease> => {
		const number = Math.max(current?.content.release ?? 0, numberFloor) + 1;
		return makeRelease(transaction, { keys, at: author.at, release: number, ...parts, created_at: formatInstant(author.at), created_by: author.who });
	};

	return {
		publish: (version, author) =>
			oneRelease(async () => {
				const ruleSet = await readRuleSet(connection, version);
				if (!ruleSet) return { code: 'not_found', detail: `There is no rule set of version ${version}.` };
				// 1. The body, read back from where Shards will look for it. If this fails nothing has changed.
				await putBodies(new Map([[ruleSet.digest, ruleSet.document]]));
				// 2. The release, committed with its config change.
				const stored = await connection.transaction(async (transaction) => {
					await lockConfiguration(transaction);
					const current = await readCurrentRelease(transaction);
					const { name, digest } = ruleSet;
					const parts = {
						rule_sets: { ...current?.content.rule_sets, [name]: { version, digest } },
						models: current?.content.models ?? { champion: null, canary: null, shadows: [] },
					};
					const made = await commit(transaction, { current, parts, author });
					await recordConfigChange(transaction, {
						...author,
						from: { release: current?.content.release ?? null, rule_set: current?.content.rule_sets[name]?.version ?? null },
						to: { release: made.content.release, rule_set: version },
					});
					return made;
				});
				// 3. The pointer to KV, 4. pushed to every Shard, 5. acknowledgements stored.
				await attempt(stored);
				return stored.content;
			}),

		promote: ({ name, version }, place, author) =>
			oneRelease(async () => {
				const model = await readModel(connection, { name, version });
				if (!model) return { code: 'not_found', detail: 'There is no such model.' };
				const reference: ModelReference = { name, version, digest: model.digest, manifest: model.manifest };
				// As with a rule set: what a Shard will look for is there before the release names it.
				await putModels([reference]);
				const made = await connection.transaction(async (transaction): Promise<StoredRelease | Refused> => {
					await lockConfiguration(transaction);
					const current = await readCurrentRelease(transaction);
					if (!current) return { code: 'conflict', detail: 'There is no release yet; publish a rule set first.' };
					const models = placed(current.content.models, reference, place);
					if (models.shadows.length > limits.shadows_max) return { code: 'conflict', detail: `There must not be more than ${limits.shadows_max} shadows.` };
					const release = await commit(transaction, { current, parts: { rule_sets: current.content.rule_sets, models }, author });
					await recordConfigChange(transaction, {
						...author,
						from: { release: current.content.release, models: current.content.models },
						to: { release: release.content.release, models },
					});
					return release;
				});
				if ('code' in made) return made;
				await attempt(made);
				return made.content;
			}),

		rollback: (number, author) =>
			oneRelease(async () => {
				const old = await readRelease(connection, number);
				if (!old) return { code: 'not_found', detail: `There is no release ${number}.` };
				await putBodies(await bodiesOf(old));
				await putModels(modelsOf(old.content.models));
				const made = await connection.transaction(async (transaction): Promise<StoredRelease | Refused> => {
					await lockConfiguration(transaction);
					const current = await readCurrentRelease(transaction);
					const { rule_sets, models } = old.content;
					const orphans = await regionsWithout(transaction, { ruleSets: Object.keys(rule_sets), limit: limits.regions_named_max + 1 });
					if (orphans.length > 0) {
						const named = orphans.slice(0, limits.regions_named_max).join(', ');
						const more = orphans.length > limits.regions_named_max ? ' and more' : '';
						return { code: 'conflict', detail: `Release ${number} lacks the rule set of the regions ${named}${more}; give them another one first.` };
					}
					const release = await commit(transaction, { current, parts: { rule_sets, models }, author });
					await recordConfigChange(transaction, {
						...author,
						from: { release: current?.content.release ?? null },
						to: { release: release.content.release, content_of: number },
					});
					return release;
				});
				if ('code' in made) return made;
				await attempt(made);
				return made.content;
			}),

		async push(shards) {
			const stored = await readCurrentRelease(connection);
			return stored && shards.length > 0 ? pushTo(stored, shards) : { failed: [] };
		},

		async ensureShard(shard) {
			const stored = await readCurrentRelease(connection);
			if (!stored || (held.get(shard) ?? 0) >= stored.content.release) return;
			const { failed } = await pushTo(stored, [shard]);
			if (failed.length > 0) throw new UnavailableError(`Shard ${shard} does not take release ${stored.content.release} now.`, { cause: failed });
		},

		async noteShard(shard, number) {
			if (shard < partitions && held.get(shard) !== number) await note([{ shard, release: number }]);
		},

		ensureKv,

		async settled() {
			await Promise.all(underWay);
		},
	};
}
