// Ingestion for the workerd tests: takes every request that leaves a script, answers as told, and shows what came to whoever asks by the service binding.
import type { V4WorkerOptions } from 'miniflare';

const script = `
let status = 202;
const taken = [];
export default {
	async fetch(request) {
		const { hostname, pathname, searchParams } = new URL(request.url);
		if (hostname !== 'fake-ingestion') {
			taken.push({ status, path: pathname, body: await request.text() });
			return new Response(null, { status });
		}
		if (searchParams.has('status')) status = Number(searchParams.get('status'));
		return Response.json(taken);
	},
};`;

/** A script beside the two of the edge. Their `outboundService` is its name. */
export const fakeIngestion: V4WorkerOptions & { name: string } = { name: 'fake-ingestion', modules: true, script, compatibilityDate: '2026-10-01' };
