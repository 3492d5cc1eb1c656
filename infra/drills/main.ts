// npm run drill -- [kill|edge|start|stop] [--rounds N] [--seed N]: deaths of real processes under load, and a count of what they cost.
import { parseArgs } from 'node:util';
import { openDrill } from './drill.ts';
import { startDrill } from './start-drill.ts';

const HELP = `npm run drill -- [kill|edge|start|stop] [--rounds N] [--seed N]
kill    kill -9 of the whole product under load, then a start on the same data (default: 100 rounds)
edge    kill -9 of workerd alone: it comes back by itself (10 rounds)
stop    SIGTERM under load (10 rounds)
start   kill -9 during a first start (20 rounds)
Prints its seed and, as its last line, what was compared as JSON. Exit 1 when anything was lost, doubled or too slow.`;
const ROUNDS = { kill: 100, edge: 10, stop: 10, start: 20 };

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
const tell = (line: string) => console.log(line);
try {
	if (drillName === 'start') {
		console.log(JSON.stringify({ drill: name, seed, rounds, ...(await startDrill({ seed, rounds, tell })) }));
		process.exit(0);
	}
	const drill = await openDrill({ seed, tell });
	try {
		await drill[drillName](rounds);
		const { lost, doubled, unexpected, compared, ...figures } = await drill.finish();
		for (const line of [...lost, ...doubled, ...unexpected]) console.error(line);
		const counts = { lost: lost.length, doubled: doubled.length, unexpected: unexpected.length };
		console.log(JSON.stringify({ drill: name, seed, rounds, ...compared, ...counts, ...figures }));
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
