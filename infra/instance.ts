// The product as a process of its own, for tests and benchmarks from outside.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Doors, openDoors } from './doors.ts';
import { freePort } from './free-port.ts';
import { type Spawned, spawnProduct } from './spawn-product.ts';

/** A running `npm start`. */
export interface Instance extends Doors, Spawned {
	directory: string;
	/** Removes the data directory. */
	tidy(): void;
}

/** Starts the product as `npm start` does, on free ports, in a data directory of its own or the one given, and waits until its doors are ready. */
export async function startInstance(options: { args?: string[]; directory?: string; env?: Record<string, string>; ready?: boolean } = {}): Promise<Instance> {
	const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'surgecast-'));
	const ports = { edge: await freePort(), control: await freePort(), ingest: await freePort() };
	const spawned = spawnProduct(options.args ?? ['--no-simulate'], {
		SURGECAST_DATA_DIR: directory,
		EDGE_PORT: String(ports.edge),
		CONTROL_PLANE_PORT: String(ports.control),
		INGEST_PORT: String(ports.ingest),
		...options.env,
	});
	const urls = { edge: `http://127.0.0.1:${ports.edge}`, control: `http://127.0.0.1:${ports.control}`, ingest: `http://127.0.0.1:${ports.ingest}` };
	if (options.ready !== false) await spawned.ready();
	return {
		...spawned,
		...openDoors(urls, directory),
		directory,
		tidy: () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }),
	};
}
