// npm run multipliers -- [--from T] [--to T] [--prefix nyc-]: how the stored prices were surged, by week and by hour of the day, per zone-minute (the last
// price of a region in a minute speaks for it). The product must be down: the database is read as it is.
import { parseArgs } from 'node:util';
import { parseConfiguration } from '#control-plane/configuration.ts';
import { readReplayablePage } from '#control-plane/database/decisions.ts';
import { openDatabase } from '#control-plane/database/open-database.ts';
import { localTime } from '#models/calendar.ts';
import { parseInstant } from '#schemas/instant.ts';
import { limits } from '#schemas/limits.ts';
import { percentile, table } from './bench/table.ts';
import { lockDataDirectory } from './lock.ts';

const WEEK_MS = 7 * 24 * 3_600_000;
const SURGED = 1.2;

function instant(name: string, text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	const at = parseInstant(text);
	if (Number.isNaN(at)) throw new Error(`Cannot read decisions: --${name} is "${text}", wanted is a time with an offset, like 2023-01-08T00:00:00-05:00`);
	return at;
}

const row = (name: string, values: number[]): (string | number)[] => [
	name,
	String(values.length),
	percentile(values, 0.05).toFixed(3),
	percentile(values, 0.5).toFixed(3),
	percentile(values, 0.95).toFixed(3),
	percentile(values, 0.999).toFixed(3),
	`${((values.filter((value) => value > SURGED).length / values.length) * 100).toFixed(2)} %`,
];

async function main(): Promise<void> {
	const { values } = parseArgs({ options: { from: { type: 'string' }, to: { type: 'string' }, prefix: { type: 'string', default: 'nyc-' } } });
	const configuration = parseConfiguration(process.env);
	const lock = lockDataDirectory(configuration.dataDir);
	const database = await openDatabase(configuration.database);
	/** By zone-minute; decisions come oldest first, so the last of a minute stays. */
	const minutes = new Map<string, { at: number; hour: number; multiplier: number }>();
	try {
		let after: Awaited<ReturnType<typeof readReplayablePage>>['next'] = null;
		do {
			const page = await readReplayablePage(database.connection, {
				from: instant('from', values.from),
				to: instant('to', values.to),
				after,
				limit: limits.replay_page,
			});
			for (const { decided_at, answer, snapshot } of page.decisions) {
				if (!answer.region_id.startsWith(values.prefix)) continue;
				const { hour } = localTime(decided_at, snapshot?.region.time_zone ?? 'UTC');
				minutes.set(`${answer.region_id} ${Math.floor(decided_at / 60_000)}`, { at: decided_at, hour, multiplier: answer.surge_multiplier });
			}
			after = page.next;
		} while (after !== null);
	} finally {
		await database.close();
		lock.release();
	}
	const all = [...minutes.values()];
	if (all.length === 0) throw new Error(`There are no decisions of regions "${values.prefix}..." in "${configuration.dataDir}"`);
	const first = Math.min(...all.map(({ at }) => at).slice(0, 1));
	const head = ['', 'zone-minutes', 'p5', 'median', 'p95', 'p99.9', `above ${SURGED}`];
	const by = (name: string, of: (one: (typeof all)[number]) => number) =>
		[...Map.groupBy(all, of)]
			.sort(([a], [b]) => a - b)
			.map(([key, own]) =>
				row(
					`${name} ${key}`,
					own.map(({ multiplier }) => multiplier),
				),
			);
	console.log(table([head, ...by('week', ({ at }) => Math.floor((at - first) / WEEK_MS) + 1)]));
	console.log(`\n${table([head, ...by('hour', ({ hour }) => hour)])}`);
	console.log(
		`\n${table([
			head,
			row(
				'all',
				all.map(({ multiplier }) => multiplier),
			),
		])}`,
	);
}

try {
	await main();
} catch (error) {
	console.error(error instanceof Error ? error.message : String(error));
	process.exit(1);
}
