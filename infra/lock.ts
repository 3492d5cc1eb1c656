import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Another process works on the data directory. */
export class AlreadyRunning extends Error {
	readonly pid: number;
	constructor(directory: string, pid: number) {
		super(`Cannot work on data directory "${directory}": process ${pid} holds it`);
		this.pid = pid;
	}
}

/** What a process alone may hold of a data directory: its part, while others hold other parts. */
export type DataPart = 'edge' | 'ingest';
const parts: readonly DataPart[] = ['edge', 'ingest'];

/**
 * Holds the data directory, or a part of it, until it is released or the process dies. Whoever has the whole has the parts.
 * @throws AlreadyRunning at once when another process holds it.
 */
export function lockDataDirectory(directory: string, part?: DataPart): { release(): void } {
	const lock = hold(part === undefined ? directory : join(directory, part));
	for (const other of part === undefined ? parts.map((one) => join(directory, one)) : [directory]) {
		const pid = dataDirectoryHolder(other);
		if (pid === null) continue;
		lock.release();
		throw new AlreadyRunning(other, pid);
	}
	return lock;
}

/**
 * Holds a directory for the life of this process: an exclusive transaction on a small SQLite file, which the operating system ends with the
 * process, even after kill -9 while the pid still lingers. The pid beside it is for the message only.
 * @throws AlreadyRunning at once when another process holds it.
 */
function hold(directory: string): { release(): void } {
	mkdirSync(directory, { recursive: true });
	const pidFile = join(directory, 'pid');
	const db = new DatabaseSync(join(directory, 'lock.sqlite'), { timeout: 0 });
	try {
		db.exec('BEGIN EXCLUSIVE');
	} catch (error) {
		db.close();
		if (!/locked|busy/i.test(error instanceof Error ? error.message : '')) throw error;
		throw new AlreadyRunning(directory, Number(readPid(pidFile)));
	}
	writeFileSync(pidFile, `${process.pid}\n`);
	return {
		release() {
			if (db.isOpen) db.close();
		},
	};
}

/** The pid of the process that holds a data directory, or null; takes no lock and changes nothing. NaN while the holder is only just starting. */
export function dataDirectoryHolder(directory: string): number | null {
	const file = join(directory, 'lock.sqlite');
	if (!existsSync(file)) return null;
	const db = new DatabaseSync(file, { timeout: 0 });
	try {
		db.prepare('PRAGMA schema_version').get();
		return null;
	} catch {
		return Number(readPid(join(directory, 'pid')));
	} finally {
		db.close();
	}
}

function readPid(file: string): string {
	try {
		return readFileSync(file, 'utf8').trim();
	} catch {
		return 'NaN'; // between its lock and its pid file
	}
}
