import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../until.ts';

export const KAFKA_VERSION = '4.4.0';
const START_MS = 120_000;
const CLUSTER_ID = 'c3VyZ2VjYXN0LXRlc3RzMQ';

/** A process of Kafka that can be ended and started again on the same data and ports. */
export interface KafkaNode {
	/** Starts it, at first or again, and waits until it serves. */
	start(): Promise<void>;
	/** SIGTERM, and its end. */
	stop(): Promise<void>;
	/** kill -9. */
	kill(): Promise<void>;
	/** Stops its process in its tracks (SIGSTOP), and lets it go on. */
	freeze(): void;
	thaw(): void;
	/** Seconds of processor time that its process has used, user and system. */
	cpuSeconds(): number;
}

async function run(command: string, args: string[], log: string): Promise<void> {
	const out = openSync(log, 'a');
	const child = spawn(command, args, { stdio: ['ignore', out, out] });
	closeSync(out);
	const code = await new Promise<number | null>((done, fail) => child.once('exit', done).once('error', fail));
	if (code !== 0) throw new Error(`${command} ended with ${code}:\n${readFileSync(log, 'utf8').slice(-2000)}`);
}

/** The broker's jars, fetched once by Maven (45 MB) into the user's cache. @throws without Java 17 and Maven. */
async function jars(log: string): Promise<string> {
	const lib = join(homedir(), '.cache/surgecast', `kafka-${KAFKA_VERSION}`);
	if (existsSync(lib)) return lib;
	const fresh = `${lib}.${process.pid}`;
	mkdirSync(fresh, { recursive: true });
	const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${fresh}`, '-DincludeScope=runtime'];
	await run('mvn', ['-f', join(import.meta.dirname, 'pom.xml'), '-B', '-q', '-ntp', ...goal], log);
	if (!existsSync(lib)) renameSync(fresh, lib);
	return lib;
}

/** Processor time by the kernel's account, whose unit is a hundredth of a second on Linux. */
function cpuSeconds(pid: number): number {
	const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
	return (Number(fields[11]) + Number(fields[12])) / 100;
}

/**
 * A node of a KRaft cluster, its directory formatted but not started. Java 17 and Maven must be there.
 * @param options.properties of the server, beside those that are the same for all.
 * @param options.users who may log in by SCRAM, of both kinds, by name: the password.
 */
export async function kafkaNode(
	directory: string,
	options: { properties: Record<string, string | number | boolean>; users?: Record<string, string> },
): Promise<KafkaNode> {
	mkdirSync(directory, { recursive: true });
	const log = join(directory, 'broker.log');
	const lib = await jars(log);
	const file = join(directory, 'server.properties');
	const properties = {
		'process.roles': 'broker,controller',
		'controller.listener.names': 'CONTROLLER',
		'log.dirs': join(directory, 'data'),
		'auto.create.topics.enable': false,
		'offsets.topic.num.partitions': 4,
		'transaction.state.log.num.partitions': 4,
		'group.initial.rebalance.delay.ms': 0,
		'broker.session.timeout.ms': 1500,
		'broker.heartbeat.interval.ms': 300,
		...options.properties,
	};
	writeFileSync(
		file,
		Object.entries(properties)
			.map(([name, value]) => `${name}=${value}\n`)
			.join(''),
	);
	const config = `-Dlog4j2.configurationFile=${join(import.meta.dirname, 'log4j2.properties')}`;
	const java = ['-Xms256m', '-Xmx256m', '-XX:TieredStopAtLevel=1', config, '-cp', `${lib}/*`];
	const scram = Object.entries(options.users ?? {}).flatMap(([name, password]) =>
		['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => ['--add-scram', `${mechanism}=[name=${name},password=${password}]`]),
	);
	await run('java', [...java, 'kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', CLUSTER_ID, '-c', file, ...scram], log);
	let child: ChildProcess;
	let exited: Promise<unknown>;
	const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
		child.kill('SIGCONT');
		child.kill(signal);
		await exited;
	};
	return {
		async start() {
			const began = readFileSync(log, 'utf8').length;
			const out = openSync(log, 'a');
			child = spawn('java', [...java, 'kafka.Kafka', file], { stdio: ['ignore', out, out] });
			closeSync(out);
			exited = new Promise((done) => child.once('exit', done));
			await until(
				'the start of Kafka',
				async () => {
					if (child.exitCode !== null) throw new Error(readFileSync(log, 'utf8').slice(-2000));
					return readFileSync(log, 'utf8').slice(began).includes('Kafka Server started');
				},
				{ within: START_MS, every: 100 },
			);
		},
		stop: () => end('SIGTERM'),
		kill: () => end('SIGKILL'),
		freeze: () => void child.kill('SIGSTOP'),
		thaw: () => void child.kill('SIGCONT'),
		cpuSeconds: () => cpuSeconds(child.pid!),
	};
}
