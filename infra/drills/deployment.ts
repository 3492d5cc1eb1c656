import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AloneName } from '../alone/alone.ts';
import { type Doors, openDoors } from '../doors.ts';
import { freePort } from '../free-port.ts';
import { type Spawned, spawnProduct } from '../spawn-product.ts';
import { startBalancer } from './balancer.ts';

/** A process of the product that was started alone. */
export interface Part extends Spawned {
	name: AloneName;
	/** Which of several of its name: each has its own ports and data directory, a restart the same again. */
	seat: number;
}

/** The product as processes of their own, on the servers that `env` names. The doors of control planes and ingestions are reached through a balancer. */
export interface Deployment extends Doors {
	/** Directory of the deployment's keys.json, and of what the processes of seat 0 keep. */
	keysDir: string;
	/** Starts a process and waits until it is ready. */
	start(name: AloneName, seat?: number): Promise<Part>;
	/** Kills what still runs and removes what is on the disk. */
	tidy(): Promise<void>;
}

/** @param env LOG_URL, DATABASE_URL and whatever else differs from the defaults. */
export async function openDeployment(env: Record<string, string>): Promise<Deployment> {
	const directory = mkdtempSync(join(tmpdir(), 'surgecast-deployment-'));
	const edgePort = await freePort();
	const balancers = { 'control-plane': await startBalancer(), ingestion: await startBalancer() };
	const doorPorts = new Map<string, Promise<number>>();
	/** The port of a seat's door, which the balancer of its kind knows. */
	function doorPort(name: keyof typeof balancers, seat: number): Promise<number> {
		const key = `${name} ${seat}`;
		const port = doorPorts.get(key) ?? freePort();
		doorPorts.set(key, port);
		return port;
	}
	const running = new Set<Part>();
	const urls = { edge: `http://127.0.0.1:${edgePort}`, control: balancers['control-plane'].url, ingest: balancers.ingestion.url };
	return {
		...openDoors(urls, directory),
		keysDir: directory,
		async start(name, seat = 0) {
			const ports = { control: await doorPort('control-plane', seat), ingest: await doorPort('ingestion', seat) };
			const spawned = spawnProduct(['--only', name], {
				SURGECAST_DATA_DIR: seat === 0 ? directory : join(directory, `seat-${seat}`),
				KEYS_DIR: directory,
				EDGE_PORT: String(edgePort),
				CONTROL_PLANE_PORT: String(ports.control),
				INGEST_PORT: String(ports.ingest),
				INGEST_URL: urls.ingest,
				...env,
			});
			const part: Part = { ...spawned, name, seat };
			running.add(part);
			void spawned.exited.then(() => running.delete(part));
			await part.ready();
			if (name === 'control-plane') balancers[name].add(ports.control);
			if (name === 'ingestion') balancers[name].add(ports.ingest);
			return part;
		},
		async tidy() {
			for (const part of [...running]) {
				part.child.kill('SIGCONT'); // one that is frozen
				await part.kill();
			}
			for (const balancer of Object.values(balancers)) await balancer.close();
			rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
		},
	};
}
