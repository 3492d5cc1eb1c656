import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Configuration } from '#control-plane/configuration.ts';
import { openKeys } from '#control-plane/keys.ts';
import { inspectLog } from '#stream/log/inspect-log.ts';
import { doubtful, type Finding, ok, wrong } from './finding.ts';

const MIB = 1024 ** 2;
/** Clocks of machines that follow a time server differ by less. */
const AHEAD_MS = 30_000;

/** Keys and log of the data directory, read without changing them, also while the product runs. `deep`: every record of the log by its checksum. */
export function dataDirectoryFindings(configuration: Configuration, { deep, now }: { deep: boolean; now: number }): Finding[] {
	const { dataDir, keysDir } = configuration;
	if (!existsSync(join(keysDir, 'keys.json'))) return [ok('data directory', `${dataDir} is empty: the first npm start fills it with the sample`)];
	return [keys(keysDir), ...log(configuration, { deep, now })];
}

function keys(directory: string): Finding {
	try {
		openKeys(directory);
	} catch (error) {
		return wrong('keys', (error as Error).message, 'bring the file back from a backup: tokens, releases and the hashes of users hang on it');
	}
	const open = statSync(join(directory, 'keys.json')).mode & 0o077;
	if (open !== 0) return doubtful('keys', 'others on this machine may read keys.json', `chmod 600 ${join(directory, 'keys.json')}`);
	return ok('keys', 'readable by their owner alone');
}

function log(configuration: Configuration, { deep, now }: { deep: boolean; now: number }): Finding[] {
	if (configuration.kafka) return []; // a server: servers.ts
	const file = join(configuration.logPath ?? join(configuration.dataDir, 'log'), 'log.sqlite');
	if (!existsSync(file))
		return [wrong('log', `there are keys but no log at ${file}`, 'is LOG_URL that of the last start? Else bring the file back from a backup')];
	const restore = 'stop the product, bring the file back from a backup, and start again: what came after the backup must be sent again';
	let found: ReturnType<typeof inspectLog>;
	try {
		found = inspectLog(file, { deep });
	} catch (error) {
		return [wrong('log', `${file} cannot be read: ${(error as Error).message}`, restore)];
	}
	const { partitions, clock, records, newest_at, faults, corrupt } = found;
	const findings: Finding[] = [];
	const size = `${records} records, ${(statSync(file).size / MIB).toFixed(0)} MiB${deep ? ', every checksum right' : ' (--deep recomputes their checksums)'}`;
	if (faults.length > 0) findings.push(wrong('log', `the file is damaged: ${faults.slice(0, 3).join('; ')}`, restore));
	else if (corrupt.length > 0) findings.push(wrong('log', `records are not what was written: ${corrupt.slice(0, 5).join(', ')}`, restore));
	else findings.push(ok('log', size));
	if (partitions !== configuration.partitions)
		findings.push(
			wrong(
				'partitions',
				`the log was made with ${partitions}, PARTITIONS is ${configuration.partitions}`,
				`set PARTITIONS=${partitions}: it is fixed from the first start on`,
			),
		);
	if (clock === 'wall' && newest_at !== null && newest_at > now + AHEAD_MS)
		findings.push(
			wrong(
				'clock',
				`the log holds an event of ${new Date(newest_at).toISOString()}, but it is ${new Date(now).toISOString()}`,
				'the clock of this machine was set back or is wrong: set it right (a time server does); until then features stand still',
			),
		);
	return findings;
}
