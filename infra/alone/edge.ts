import { join } from 'node:path';
import type { Configuration } from '#control-plane/configuration.ts';
import { openKeys, serviceTokenSource } from '#control-plane/keys.ts';
import { logLine } from '#control-plane/log-line.ts';
import { drainEdge, startEdge } from '../edge.ts';
import { edgeBindings } from '../edge-bindings.ts';
import { lockDataDirectory } from '../lock.ts';
import type { Alone } from './alone.ts';

/** The two Workers in workerd on this machine; in production they are deployed to Cloudflare instead. Control plane and feature workers fill them. */
export async function startEdgeAlone(configuration: Configuration): Promise<Alone> {
	const { dataDir, keysDir, host, edgePort, ingestUrl, auth } = configuration;
	const lock = lockDataDirectory(dataDir, 'edge');
	const keys = openKeys(keysDir);
	const edge = await startEdge({
		directory: join(dataDir, 'edge'),
		host,
		port: edgePort,
		bindings: edgeBindings(configuration, keys, { ingest_url: ingestUrl, virtual: false }),
		onLost: (cause) => {
			logLine('error', { what: 'The edge does not come back; ending', cause });
			process.exit(1);
		},
	});
	const token = serviceTokenSource(keys, { kind: 'control-plane', audience: auth.audience });
	return {
		url: edge.url,
		async close() {
			await drainEdge(edge.url, token);
			await edge.close();
			lock.release();
		},
	};
}
