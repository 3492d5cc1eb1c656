// npm run drill -- [kill|edge|start|stop|dance] [--rounds N] [--seed N]: deaths of real processes under load, and a count of what they cost.
import { parseArgs } from 'node:util';
import { openDance } from './dance.ts';
import { openDrill } from './drill.ts';
import { startDrill } from './start-drill.ts';

const HELP = `npm run drill -- [kill|edge|start|stop|dance] [--rounds N] [--seed N]
kill    kill -9 of the whole product under load, then a start on the same data (default: 100 rounds)
edge    kill -9 of workerd alone: it comes back by itself (10 rounds)
stop    SIGTERM under load (10 rounds)
start   kill -9 during a first start (20 rounds)
dance   every process alone on the Kafka of LOG_URL and the PostgreSQL of DATABASE_URL, whose topics and tables must be empty: of three feature workers, beside
        two of each other process but the edge, one is stopped, killed or frozen each round (20 rounds), then each process is killed in turn
Prints its seed and, as its last line, what was compared as JSON. Exit 1 when anything was lost, doubled or too slow.`;
const ROUNDS = { kill: 100, edge: 10, stop: 10, start: 20, dance: 20 };

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: { rounds: { type: 'string' }, seed: { type: 'string' }, help: { type: 'boolean' } },
});
const [name = 'kill'] = positionals;
if (values.help || !(name in ROUNDS)) {
	console.log(HELP);
	process.exit(values.help ? 0 : 1);
}
const drillName = name as keyof typeof ROUNDS;
const rounds = Number(values.rounds ?? ROUNDS[drillName]);
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
const again = `npm run drill -- ${name} --rounds ${rounds} --seed ${seed}`;
console.log(again);
/** The servers of the dance. */
function servers(): { kafka: string; database: string } {
	const { LOG_URL: kafka, DATABASE_URL: database } = process.env;
	if (!kafka?.startsWith('kafka:') || !database?.startsWith('postgres'))
		throw new Error('Cannot dance: LOG_URL and DATABASE_URL must name a Kafka and a PostgreSQL of its own: npm run test:services starts some by itself');
	return { kafka, database };
}
const tell = (line: string) => console.log(line);
try {
	if (drillName === 'start') {
		console.log(JSON.stringify({ drill: name, seed, rounds, ...(await startDrill({ seed, rounds, tell })) }));
		process.exit(0);
	}
	const drill = drillName === 'dance' ? await openDance({ seed, tell, ...servers() }) : await openDrill({ seed, tell });
	try {
		if ('dance' in drill) {
			await drill.dance(rounds);
			await drill.killEach();
		} else await drill[drillName as 'kill' | 'edge' | 'stop'](rounds);
		const { lost, doubled, unexpected, compared, ...figures } = await drill.finish();
		const differences = 'differences' in figures ? figures.differences : [];
		for (const line of [...lost, ...doubled, ...unexpected, ...differences]) console.error(line);
		const counts = { lost: lost.length, doubled: doubled.length, unexpected: unexpected.length, differences: differences.length };
		console.log(JSON.stringify({ drill: name, seed, rounds, ...compared, ...figures, ...counts }));
		process.exitCode = Object.values(counts).every((count) => count === 0) ? 0 : 1;
	} finally {
		await drill.tidy();
	}
} catch (error) {
	console.error(error instanceof Error ? error.message : error);
	console.error(`Again: ${again}`);
	process.exitCode = 1;
}
process.exit();
