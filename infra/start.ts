// npm start: everything on this machine, in this process and one child (workerd).
import { parseArgs } from 'node:util';
import { ConfigurationError, parseConfiguration } from '#control-plane/configuration.ts';
import { aloneNames, isAloneName } from './alone/alone.ts';
import { startAlone } from './alone/start-alone.ts';
import { AlreadyRunning, lockDataDirectory } from './lock.ts';

const HELP = `npm start                       everything on this machine, with a simulated city
npm start -- --no-simulate      the same without the city: events come from outside only
npm start -- --replay FILE...   plays official TLC trip files (parquet or csv) on a city clock, then ends
    --speed N                   at most N times as fast as the clock (default: as fast as the system goes)
    --from T --to T             only the trips from T to before T (RFC 3339 with offset)
    --seed N                    of the simulated city (default: 1)
npm start -- --only PROCESS     one process of the product, beside others on the same Kafka (LOG_URL) and PostgreSQL (DATABASE_URL):
                                edge, control-plane, ingestion, feature-worker or sinks; KEYS_DIR has the keys.json that all of them share

Environment: SURGECAST_DATA_DIR, EDGE_PORT, CONTROL_PLANE_PORT, INGEST_PORT, HOST, ... (README.md)`;

function options() {
	const { values, positionals } = parseArgs({
		allowPositionals: true,
		options: {
			'no-simulate': { type: 'boolean' },
			replay: { type: 'string', multiple: true },
			speed: { type: 'string' },
			from: { type: 'string' },
			to: { type: 'string' },
			seed: { type: 'string' },
			only: { type: 'string' },
			help: { type: 'boolean' },
		},
	});
	if (positionals.length > 0 && !values.replay) throw new Error(`Cannot start with "${positionals[0]}": files belong behind --replay`);
	return { ...values, files: values.replay ? [...values.replay, ...positionals] : undefined };
}

async function main(): Promise<void> {
	const given = options();
	if (given.help) return console.log(HELP);
	if (given.files && !process.env['SURGECAST_DATA_DIR']) process.env['SURGECAST_DATA_DIR'] = '.surgecast/replay';
	const { only } = given;
	if (only !== undefined && !isAloneName(only)) throw new Error(`Cannot start "${only}" alone: wanted is one of ${aloneNames.join(', ')}`);
	const configuration = parseConfiguration(process.env);
	// Before anything slow is imported: a second process is refused within a second. A process alone locks what it keeps there itself.
	const lock = only === undefined ? lockDataDirectory(configuration.dataDir) : undefined;

	let stop = (): Promise<void> => Promise.resolve();
	let stopping = false;
	const onSignal = async (signal: string) => {
		if (stopping) return;
		stopping = true;
		console.log(`\n${signal}: finishing what is under way`);
		// Whatever hangs, the end comes: what was acknowledged is in the log.
		setTimeout(() => process.exit(0), 9000).unref();
		await stop().catch((error) => console.error(error instanceof Error ? error.message : error));
		lock?.release();
		process.exit(0);
	};
	for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);

	if (only !== undefined) {
		const started = performance.now();
		const alone = await startAlone(only, configuration);
		stop = alone.close;
		console.log(`${only}   ${alone.url}\nready in ${((performance.now() - started) / 1000).toFixed(1)} s`);
		return;
	}
	if (given.files) {
		const { replay } = await import('./replay/replay.ts');
		await replay({ configuration, files: given.files, speed: given.speed, from: given.from, to: given.to, onStop: (close) => (stop = close) });
		lock?.release();
		if (!stopping) process.exit(0);
		return;
	}
	const { run } = await import('./run.ts');
	await run({ configuration, simulate: !given['no-simulate'], seed: Number(given.seed ?? 1), onStop: (close) => (stop = close) });
}

try {
	await main();
} catch (error) {
	const known = error instanceof ConfigurationError || error instanceof AlreadyRunning || error instanceof Error;
	console.error(known ? error.message : error);
	if (process.env['DEBUG'] && error instanceof Error) console.error(error.stack);
	process.exit(1);
}
