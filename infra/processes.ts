import { spawnSync } from 'node:child_process';

export interface ProcessRow {
	pid: number;
	parent: number;
	/** What the system calls it, e.g. `workerd`. */
	name: string;
	resident_bytes: number;
}

function all(): ProcessRow[] {
	return spawnSync('ps', ['-e', '-o', 'pid=,ppid=,stat=,rss=,comm='], { encoding: 'utf8' })
		.stdout.trim()
		.split('\n')
		.map((line) => line.trim().split(/\s+/))
		.filter(([, , state]) => !state?.startsWith('Z')) // a zombie does not run, though its pid answers
		.map(([pid, parent, , kib, ...name]) => ({ pid: Number(pid), parent: Number(parent), name: name.join(' '), resident_bytes: Number(kib) * 1024 }));
}

/** A process and all that descend from it, itself first; empty when it does not run. */
export function processTree(pid: number): ProcessRow[] {
	const rows = all();
	const below = (parent: number): ProcessRow[] => rows.filter((row) => row.parent === parent).flatMap((row) => [row, ...below(row.pid)]);
	return [...rows.filter((row) => row.pid === pid), ...below(pid)];
}

/** Whether a process runs. */
export const runs = (pid: number): boolean => all().some((row) => row.pid === pid);
