import { createHash } from 'node:crypto';
import * as z from 'zod';
import { compileRuleSet } from '#models/pricing/compile-rule-set.ts';
import { formatInstant } from '#schemas/instant.ts';
import { modelManifest } from '#schemas/model-manifest.ts';
import { parse } from '#schemas/parse.ts';
import type { FieldError } from '#schemas/problem.ts';
import { regionInput } from '#schemas/region.ts';
import type { Release } from '#schemas/release.ts';
import { type Database, lockConfiguration } from './database/database.ts';
import { insertModel } from './database/models.ts';
import { insertRegions } from './database/regions.ts';
import { readCurrentRelease } from './database/releases.ts';
import { insertRuleSet } from './database/rule-sets.ts';
import { expandHolidays } from './holidays.ts';
import type { Keys } from './keys.ts';
import { makeRelease } from './make-release.ts';

const WHO = 'surgecast';
const seedRegion = regionInput.extend({ region_id: z.string() });

/** What an empty database starts with. Regions are as in PUT /api/v1/regions, with their id; the last of two rule sets of one name is in force. */
export interface Sample {
	regions: readonly z.input<typeof seedRegion>[];
	rule_sets: readonly unknown[];
	/** A model that forecasts from the first release on; undefined: `pulse` does. */
	champion?: { manifest: string; bytes: Uint8Array } | undefined;
}

const told = (what: string, errors: readonly FieldError[]) =>
	new Error(`Cannot fill the database: ${what} is not good: ${errors.map(({ path, message }) => `${path} ${message}`).join('; ')}`);

/** The sample's model as it is stored; its gate is the tests' business. @throws when its file is not the one that its manifest names. */
function championOf({ manifest: text, bytes }: NonNullable<Sample['champion']>, at: number) {
	const parsed = parse(modelManifest, JSON.parse(text));
	if (!parsed.ok) throw told('the manifest of its model', parsed.errors);
	const { name, version, digest } = parsed.value;
	if (createHash('sha256').update(bytes).digest('hex') !== digest) throw told('its model', [{ path: '/digest', message: 'is of another file' }]);
	return { name, version, digest, manifest: createHash('sha256').update(text).digest('hex'), manifest_text: text, bytes, created_at: at, created_by: WHO };
}

/**
 * Fills an empty database with the sample and release 1, in one transaction: a kill leaves all or nothing, and the next start completes. A database with a
 * release is left as it is.
 * @param options.now the deployment clock, milliseconds: holidays are expanded around it.
 * @returns whether it was filled.
 * @throws when the sample itself is not good.
 */
export async function seed(database: Database, { regions, rule_sets, champion, keys, now }: Sample & { keys: Keys; now: number }): Promise<boolean> {
	const { connection } = database;
	if (await readCurrentRelease(connection)) return false;
	const documents = rule_sets.map((document, at) => {
		const compiled = compileRuleSet(structuredClone(document));
		if (!compiled.ok) throw told(`rule set ${at}`, compiled.errors);
		return { name: compiled.ruleSet.name, document };
	});
	const entries = await Promise.all(
		regions.map(async (given) => {
			const parsed = parse(seedRegion, structuredClone(given));
			if (!parsed.ok) throw told(`region "${given.region_id}"`, parsed.errors);
			const { region_id: regionId, ...input } = parsed.value;
			const holidayDates = input.holidays === null ? [] : await expandHolidays(input.holidays, { now });
			if (holidayDates === null) throw told(`region "${regionId}"`, [{ path: '/holidays', message: 'is not a known code' }]);
			if (!documents.some(({ name }) => name === input.rule_set)) throw told(`region "${regionId}"`, [{ path: '/rule_set', message: 'is not in the sample' }]);
			return { regionId, input, holidayDates };
		}),
	);
	const at = Date.now();
	const model = champion && championOf(champion, at);
	return connection.transaction(async (transaction) => {
		await lockConfiguration(transaction);
		if (await readCurrentRelease(transaction)) return false; // another process was first
		const ruleSets: Release['rule_sets'] = {};
		for (const { name, document } of documents) {
			const { version, digest } = await insertRuleSet(transaction, { name, document, at, who: WHO });
			ruleSets[name] = { version, digest };
		}
		await insertRegions(transaction, entries);
		if (model) await insertModel(transaction, model);
		await makeRelease(transaction, {
			keys,
			at,
			release: 1,
			rule_sets: ruleSets,
			models: {
				champion: model ? { name: model.name, version: model.version, digest: model.digest, manifest: model.manifest } : null,
				canary: null,
				shadows: [],
			},
			created_at: formatInstant(at),
			created_by: WHO,
		});
		return true;
	});
}
