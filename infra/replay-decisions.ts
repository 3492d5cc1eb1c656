// npm run replay-decisions -- [--from T] [--to T]: recomputes stored decisions, in the running product or, while it is down, on its database.
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Configuration, parseConfiguration } from '#control-plane/configuration.ts';
import { openKeys, serviceToken } from '#control-plane/keys.ts';
import type { ReplayReport } from '#control-plane/replay.ts';
import { parseInstant } from '#schemas/instant.ts';
import { AlreadyRunning, lockDataDirectory } from './lock.ts';

const HELP = `npm run replay-decisions -- [--from T] [--to T]
Recomputes the stored decisions with from <= decided_at < to (RFC 3339 with offset) and compares them to the cent and the byte.
Exit 0: no difference. 1: a decision differs, and is shown. 2: there was none to compare. 3: could not be done.`;

function instant(name: string, text: string | undefined): string | undefined {
	if (text !== undefined && Number.isNaN(parseInstant(text)))
		throw new Error(`Cannot replay decisions: --${name} is "${text}", wanted is a time with an offset, like 2026-01-11T10:30:00Z`);
	return text;
}

const tell = (report: ReplayReport) => process.stderr.isTTY && process.stderr.write(`\r${report.compared} compared`);

/** Asks the process that holds the database. */
async function ofRunning(configuration: Configuration, range: { from: string | undefined; to: string | undefined }): Promise<ReplayReport> {
	const keys = openKeys(configuration.keysDir);
	const query = new URLSearchParams(Object.entries(range).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as [string, string]])));
	const answer = await fetch(`http://${configuration.host}:${configuration.controlPlanePort}/internal/replay-decisions?${query}`, {
		headers: { authorization: `Bearer ${await serviceToken(keys, { kind: 'control-plane', audience: configuration.auth.audience })}` },
	});
	if (!answer.ok || !answer.body) throw new Error(`Cannot replay decisions: the control plane answers ${answer.status}`);
	let text = '';
	let last: (ReplayReport & { done: boolean }) | undefined;
	const decoder = new TextDecoder();
	for await (const chunk of answer.body) {
		text += decoder.decode(chunk, { stream: true });
		const lines = text.split('\n');
		text = lines.pop() ?? '';
		for (const line of lines) {
			last = JSON.parse(line) as ReplayReport & { done: boolean };
			tell(last);
		}
	}
	if (!last?.done) throw new Error('Cannot replay decisions: the control plane broke off');
	return last;
}

async function ofDatabase(configuration: Configuration, range: { from: string | undefined; to: string | undefined }): Promise<ReplayReport> {
	const isDirectory = !configuration.database.includes('://');
	if (isDirectory && !existsSync(configuration.database)) return { compared: 0, other_revisions: 0, difference: null }; // a look must not make one
	const [{ openDatabase }, { replayDecisions }] = await Promise.all([import('#control-plane/database/open-database.ts'), import('#control-plane/replay.ts')]);
	const database = await openDatabase(configuration.database);
	try {
		const at = (text: string | undefined) => (text === undefined ? undefined : parseInstant(text));
		return await replayDecisions(database.connection, { from: at(range.from), to: at(range.to), onProgress: tell });
	} finally {
		await database.close();
	}
}

async function main(): Promise<number> {
	const { values } = parseArgs({ options: { from: { type: 'string' }, to: { type: 'string' }, help: { type: 'boolean' } } });
	if (values.help) {
		console.log(HELP);
		return 0;
	}
	const range = { from: instant('from', values.from), to: instant('to', values.to) };
	const configuration = parseConfiguration(process.env);
	let report: ReplayReport;
	try {
		const lock = lockDataDirectory(configuration.dataDir);
		try {
			report = await ofDatabase(configuration, range);
		} finally {
			lock.release();
		}
	} catch (error) {
		if (!(error instanceof AlreadyRunning)) throw error;
		report = await ofRunning(configuration, range);
	}
	if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
	if (report.other_revisions > 0) console.log(`${report.other_revisions} decisions of other revisions of the pricing code, not compared`);
	if (report.difference) console.log(JSON.stringify(report.difference, null, '\t'));
	console.log(`${report.compared} decisions compared${report.difference ? ', the last one differs' : report.compared > 0 ? ', no difference' : ''}`);
	return report.difference ? 1 : report.compared === 0 ? 2 : 0;
}

try {
	process.exitCode = await main();
} catch (error) {
	console.error(error instanceof Error ? error.message : String(error));
	process.exitCode = 3;
}
