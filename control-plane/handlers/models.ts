import { createHash } from 'node:crypto';
import type { controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import { slug } from '#schemas/identifier.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { ModelManifest } from '#schemas/model-manifest.ts';
import { pointer } from '#schemas/parse.ts';
import type { ModelReference, Release } from '#schemas/release.ts';
import { recordConfigChange } from '../database/config-changes.ts';
import { insertModel, listModels, readModel, type StoredModel } from '../database/models.ts';
import { readCurrentRelease } from '../database/releases.ts';
import type { Handlers, Refused } from '../door.ts';
import { gateModel } from '../model-gate.ts';
import { numberedList } from './numbered-list.ts';
import { authorOf, numberOf, type Parts } from './parts.ts';

const unknown: Refused = { code: 'not_found', detail: 'There is no such model.' };

type State = { state: 'registered' | 'shadow' | 'canary' | 'champion'; percent?: number };

/** A model's place is what the release in force says of it. */
function stateOf({ name, version }: StoredModel, models: Release['models'] | undefined): State {
	const isIt = (reference: ModelReference | null | undefined) => reference?.name === name && reference.version === version;
	if (isIt(models?.champion)) return { state: 'champion' };
	if (isIt(models?.canary)) return { state: 'canary', percent: models?.canary?.percent ?? 0 };
	return { state: models?.shadows.some(isIt) ? 'shadow' : 'registered' };
}

const shown = (model: StoredModel, models: Release['models'] | undefined) => ({
	name: model.name,
	version: model.version,
	digest: model.digest,
	...stateOf(model, models),
	manifest: JSON.parse(model.manifest_text) as ModelManifest,
	created_at: formatInstant(model.created_at),
	created_by: model.created_by,
});

/** A part of a form as bytes, the last where it is given twice; undefined when it is not there. */
async function part(form: FormData | undefined, name: string): Promise<Uint8Array | undefined> {
	const value = form?.getAll(name).at(-1);
	if (value === undefined) return undefined;
	return typeof value === 'string' ? new TextEncoder().encode(value) : new Uint8Array(await value.arrayBuffer());
}

/** Models as versions that never change, and their places in the release. */
export function modelHandlers({ connection, edge, publishing }: Parts) {
	const read = async ({ name, version }: { name: string; version: string }) => {
		const number = numberOf(version);
		return number !== null && slug.safeParse(name).success ? readModel(connection, { name, version: number }) : undefined;
	};
	const inForce = async () => (await readCurrentRelease(connection))?.content.models;

	return {
		'POST /api/v1/models': async (call) => {
			const { form } = call;
			const stranger = [...(form?.keys() ?? [])].find((name) => name !== 'manifest' && name !== 'model');
			if (stranger !== undefined)
				return {
					code: 'invalid',
					detail: 'The form has a part that is not known; see errors.',
					errors: [{ path: pointer([stranger]), message: 'unknown field' }],
				};
			const manifestBytes = await part(form, 'manifest');
			const manifestText = manifestBytes && new TextDecoder().decode(manifestBytes);
			const bytes = await part(form, 'model');
			const gate = await gateModel({ manifestText, bytes }, edge);
			if (!gate.ok || manifestText === undefined || bytes === undefined) {
				const told = gate.report.map(({ check, ok, detail }) => `${check}: ${ok ? 'ok' : 'no'}, ${detail}`).join('; ');
				return { code: 'invalid', detail: `The model does not pass the gate, and nothing was registered. ${told}`, errors: gate.ok ? [] : gate.errors };
			}
			const { name, version, digest } = gate.manifest;
			const author = authorOf(call);
			const model = {
				name,
				version,
				digest,
				manifest: createHash('sha256').update(manifestText).digest('hex'),
				manifest_text: manifestText,
				created_at: author.at,
				created_by: author.who,
			};
			const inserted = await connection.transaction(async (transaction) => {
				if (!(await insertModel(transaction, { ...model, bytes }))) return false;
				await recordConfigChange(transaction, { ...author, from: null, to: { name, version, digest } });
				return true;
			});
			if (!inserted) return { code: 'conflict', detail: `There is a model ${name}@${version} already; a version never changes, register the next.` };
			return { status: 201, body: { ...shown(model, undefined), report: gate.report } };
		},

		'GET /api/v1/models': async ({ query }) => {
			const models = await inForce();
			return numberedList(query, async (options) => {
				const { items, next_cursor } = await listModels(connection, options);
				return { items: items.map((model) => shown(model, models)), next_cursor };
			});
		},

		'GET /api/v1/models/{name}/{version}': async ({ params }) => {
			const model = await read(params);
			return model ? { status: 200, body: shown(model, await inForce()) } : unknown;
		},

		'POST /api/v1/models/{name}/{version}/promote': async (call) => {
			const model = await read(call.params);
			if (!model) return unknown;
			const made = await publishing.promote(model, call.body, authorOf(call));
			return 'code' in made ? made : { status: 201, body: { release: made.release } };
		},
	} satisfies Partial<Handlers<typeof controlPlaneRoutes>>;
}
