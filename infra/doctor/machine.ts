import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, fsyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { doubtful, type Finding, ok, wrong } from './finding.ts';

const GIB = 1024 ** 3;
/** What `npm start` holds once it has run for a while, both processes together, and the disk of some days of a city's events. */
const MEMORY_BYTES = 2 * GIB;
const DISK_BYTES = 2 * GIB;
/** The doors take 10,000 idle sockets each and still serve. */
const FILES = 16_384;
const NODE_MAJOR = 24;
const COMMITS = 20;

/** The machine: Node, cores, memory, open files, and the disk below the data directory. `node`: its version, as `process.versions.node` says it. */
export function machineFindings(dataDir: string, { node = process.versions.node } = {}): Finding[] {
	return [nodeVersion(node), cores(), memory(), openFiles(), ...disk(dataDir)];
}

function nodeVersion(version: string): Finding {
	const major = Number(version.split('.')[0]);
	if (major >= NODE_MAJOR) return ok('Node', `${version} runs the product`);
	return wrong(
		'Node',
		`${version} runs this command, but the product needs ${NODE_MAJOR}`,
		`npm ci brings Node ${NODE_MAJOR} along for npm scripts where a build for this platform exists; where none does, install Node ${NODE_MAJOR} yourself`,
	);
}

function cores(): Finding {
	const found = availableParallelism();
	if (found >= 2) return ok('processor', `${found} cores`);
	return doubtful('processor', 'one core', 'ingestion, the feature worker and the edge share it: prices slow down under a load of events; give it two');
}

function memory(): Finding {
	const says = `${(freemem() / GIB).toFixed(1)} of ${(totalmem() / GIB).toFixed(1)} GiB are free`;
	return freemem() >= MEMORY_BYTES ? ok('memory', says) : doubtful('memory', says, `the product wants ${MEMORY_BYTES / GIB} GiB; end something, or add some`);
}

function openFiles(): Finding {
	const { stdout } = spawnSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' });
	const found = stdout?.trim() ?? '';
	if (found === 'unlimited' || Number(found) >= FILES) return ok('open files', `up to ${found} a process`);
	if (found === '') return doubtful('open files', 'no shell tells the limit', `see that a process may open ${FILES} files`);
	return doubtful('open files', `up to ${found} a process`, `ulimit -n ${FILES}: with fewer, many idle sockets can lock clients out`);
}

/** The nearest folder above a path that exists. */
function existing(path: string): string {
	return existsSync(path) ? path : existing(dirname(path));
}

function disk(dataDir: string): Finding[] {
	const folder = existing(dataDir);
	const { bavail, bsize } = statfsSync(folder);
	const free = bavail * bsize;
	const says = `${(free / GIB).toFixed(1)} GiB are free below ${folder}`;
	const space =
		free >= DISK_BYTES
			? ok('disk', says)
			: free > DISK_BYTES / 20
				? doubtful('disk', says, 'a full disk stops ingestion (503) until there is space: make some')
				: wrong('disk', says, 'make space: ingestion refuses events on a full disk');
	let scratch: string;
	try {
		scratch = mkdtempSync(join(folder, '.doctor-'));
	} catch (error) {
		return [space, wrong('data directory', `${folder} cannot be written: ${(error as Error).message}`, 'give SURGECAST_DATA_DIR a folder of your own')];
	}
	try {
		const file = openSync(join(scratch, 'commits'), 'w');
		const started = performance.now();
		for (let i = 0; i < COMMITS; i++) {
			writeSync(file, 'a commit\n');
			fsyncSync(file);
		}
		const each = (performance.now() - started) / COMMITS;
		closeSync(file);
		const took = `a commit reaches it in ${each.toFixed(1)} ms`;
		const slow = 'every answer of ingestion waits for one: put the data directory on a faster disk';
		return [space, each < 25 ? ok('disk speed', took) : doubtful('disk speed', took, slow)];
	} finally {
		rmSync(scratch, { recursive: true, force: true });
	}
}
