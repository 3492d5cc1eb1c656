import type { controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import { slug } from '#schemas/identifier.ts';
import { listModels, readModel } from '../database/models.ts';
import type { Handlers } from '../door.ts';
import { numberedList } from './numbered-list.ts';
import { numberOf, type Parts } from './parts.ts';

/** Models are listed; registering them is not available in this version, and says so. */
export function modelHandlers({ connection }: Parts) {
	const read = async ({ name, version }: { name: string; version: string }) => {
		const number = numberOf(version);
		return number !== null && slug.safeParse(name).success ? readModel(connection, { name, version: number }) : undefined;
	};

	return {
		'POST /api/v1/models': ({ contentType }) =>
			contentType === 'multipart/form-data'
				? { code: 'unavailable', detail: 'model registration is not available in this version', retryAfterSeconds: 24 * 3600 }
				: { code: 'unsupported_media_type', detail: 'The content type must be multipart/form-data, with manifest and model.' },

		'GET /api/v1/models': ({ query }) => numberedList(query, (options) => listModels(connection, options)),

		'GET /api/v1/models/{name}/{version}': async ({ params }) => {
			const model = await read(params);
			return model ? { status: 200, body: model } : { code: 'not_found', detail: 'There is no such model.' };
		},

		'POST /api/v1/models/{name}/{version}/promote': async ({ params }) =>
			(await read(params))
				? { code: 'unavailable', detail: 'model promotion is not available in this version', retryAfterSeconds: 24 * 3600 }
				: { code: 'not_found', detail: 'There is no such model.' },
	} satisfies Partial<Handlers<typeof controlPlaneRoutes>>;
}
