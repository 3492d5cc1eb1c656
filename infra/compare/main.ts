// npm run compare -- DIR: a replay on real servers against the same replay on the embedded drivers.
import { parseArgs } from 'node:util';
import { parseConfiguration } from '#control-plane/configuration.ts';
import { compareRuns } from './compare-runs.ts';

const HELP = `npm run compare -- DIR
Compares a replay on the servers of LOG_URL, DATABASE_URL and CLICKHOUSE_URL with the same replay on the embedded drivers in data directory DIR, both ended:
finals field by field, prices by what they say, every decision exactly once in each store. Last line JSON; exit 1 when anything differs.`;
const SHOWN = 20;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { help: { type: 'boolean' } } });
const [directory] = positionals;
if (values.help || directory === undefined) {
	console.log(HELP);
	process.exit(values.help ? 0 : 1);
}
try {
	const { differences, ...counts } = await compareRuns(parseConfiguration(process.env), directory);
	for (const line of differences.slice(0, SHOWN)) console.error(line);
	if (differences.length > SHOWN) console.error(`... and ${differences.length - SHOWN} more`);
	console.log(JSON.stringify({ ...counts, differences: differences.length }));
	process.exit(differences.length === 0 ? 0 : 1);
} catch (error) {
	console.error(error instanceof Error ? error.message : error);
	process.exit(1);
}
