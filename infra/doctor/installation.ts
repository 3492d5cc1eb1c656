import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Finding, ok, wrong } from './finding.ts';

interface Lock {
	packages: Record<string, { version?: string; optional?: boolean; peer?: boolean }>;
}

/** What npm installed below `root`, against the lockfile, and whether the edge's runtime starts here. */
export function installationFindings(root: string): Finding[] {
	const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;
	const missing: string[] = [];
	const other: string[] = [];
	let counted = 0;
	for (const [path, { version, optional, peer }] of Object.entries(lock.packages)) {
		if (path === '' || version === undefined) continue;
		const manifest = join(root, path, 'package.json');
		if (!existsSync(manifest)) {
			// Builds for other platforms, and peers that npm left out, are not missed.
			if (!optional && !peer) missing.push(path.replace(/^node_modules\//, ''));
			continue;
		}
		counted++;
		const found = (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
		if (found !== version) other.push(`${path.replace(/^node_modules\//, '')} is ${found}, wanted ${version}`);
	}
	const some = (list: string[]) => `${list.slice(0, 5).join(', ')}${list.length > 5 ? ` and ${list.length - 5} more` : ''}`;
	if (missing.length > 0) return [wrong('packages', `missing: ${some(missing)}`, 'npm ci')];
	if (other.length > 0) return [wrong('packages', `not those of the lockfile: ${some(other)}`, 'npm ci')];
	return [ok('packages', `${counted} installed, as the lockfile has them`), runtime(root)];
}

function runtime(root: string): Finding {
	const advice = 'it needs glibc 2.35 or later on Linux (not musl), macOS 13.5 or later, or Windows; then npm ci';
	try {
		const binary: string = createRequire(join(root, 'package.json'))('workerd').default;
		const { status, stdout, error } = spawnSync(binary, ['--version'], { encoding: 'utf8', timeout: 20_000 });
		if (status === 0) return ok('edge runtime', stdout.trim());
		return wrong('edge runtime', `workerd does not start: ${error?.message ?? `exit ${status}`}`, advice);
	} catch (error) {
		return wrong('edge runtime', `workerd is not there: ${(error as Error).message.split('\n')[0]}`, advice);
	}
}
