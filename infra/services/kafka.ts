import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { until } from '../instance.ts';
import type { Service } from './service.ts';

const VERSION = '4.4.0';
const HERE = join(import.meta.dirname, 'kafka');
const START_MS = 120_000;
const CLUSTER_ID = 'c3VyZ2VjYXN0LXRlc3RzMQ';

/** A broker of one node that can be killed and started again on the same data and port. */
export interface KafkaBroker extends Service {
	/** kill -9. */
	kill(): Promise<void>;
	/** Starts it again after stop() or kill(). */
	start(): Promise<void>;
	/** Stops its process in its tracks (SIGSTOP), and lets it go on. */
	freeze(): void;
	thaw(): void;
}

async function run(command: string, args: string[], log: string): Promise<void> {
	const out = openSync(log, 'a');
	const child = spawn(command, args, { stdio: ['ignore', out, out] });
	const code = await new Promise<number | null>((done, fail) => child.once('exit', done).once('error', fail));
	if (code !== 0) throw new Error(`${command} ended with ${code}:\n${readFileSync(log, 'utf8').slice(-2000)}`);
}

/** The broker's jars, fetched once by Maven (45 MB) into the user's cache. @throws without Java 17 and Maven. */
async function jars(log: string): Promise<string> {
	const lib = join(homedir(), '.cache/surgecast', `kafka-${VERSION}`);
	if (existsSync(lib)) return lib;
	const fresh = `${lib}.${process.pid}`;
	mkdirSync(fresh, { recursive: true });
	await run(
		'mvn',
		['-f', join(HERE, 'pom.xml'), '-B', '-q', '-ntp', 'dependency:copy-dependencies', `-DoutputDirectory=${fresh}`, '-DincludeScope=runtime'],
		log,
	);
	if (!existsSync(lib)) renameSync(fresh, lib);
	return lib;
}

/** Starts Apache Kafka (KRaft, one node) with its data in `directory`; Java 17 and Maven must be there. */
export async function startKafka(directory: string): Promise<KafkaBroker> {
	mkdirSync(directory, { recursive: true });
	const log = join(directory, 'broker.log');
	const lib = await jars(log);
	const port = await freePort();
	const controller = await freePort();
	const properties = join(directory, 'server.properties');
	writeFileSync(
		properties,
		Object.entries({
			'process.roles': 'broker,controller',
			'node.id': 1,
			'controller.quorum.voters': `1@127.0.0.1:${controller}`,
			listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
			'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
			'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
			'controller.listener.names': 'CONTROLLER',
			'inter.broker.listener.name': 'PLAINTEXT',
			'log.dirs': join(directory, 'data'),
			'auto.create.topics.enable': false,
			'offsets.topic.replication.factor': 1,
			'offsets.topic.num.partitions': 4,
			'transaction.state.log.replication.factor': 1,
			'transaction.state.log.min.isr': 1,
			'transaction.state.log.num.partitions': 4,
			'group.initial.rebalance.delay.ms': 0,
			'broker.session.timeout.ms': 1500,
			'broker.heartbeat.interval.ms': 300,
		})
			.map(([name, value]) => `${name}=${value}\n`)
			.join(''),
	);
	const java = ['-Xms256m', '-Xmx256m', '-XX:TieredStopAtLevel=1', `-Dlog4j2.configurationFile=${join(HERE, 'log4j2.properties')}`, '-cp', `${lib}/*`];
	await run('java', [...java, 'kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', CLUSTER_ID, '-c', properties], log);
	let child: ChildProcess;
	let exited: Promise<unknown>;
	const start = async (): Promise<void> => {
		const began = existsSync(log) ? readFileSync(log, 'utf8').length : 0;
		const out = openSync(log, 'a');
		child = spawn('java', [...java, 'kafka.Kafka', properties], { stdio: ['ignore', out, out] });
		exited = new Promise((done) => child.once('exit', done));
		await until(
			'the start of Kafka',
			async () => {
				if (child.exitCode !== null) throw new Error(readFileSync(log, 'utf8').slice(-2000));
				return readFileSync(log, 'utf8').slice(began).includes('Kafka Server started');
			},
			{ within: START_MS, every: 100 },
		);
	};
	const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
		child.kill('SIGCONT');
		child.kill(signal);
		await exited;
	};
	await start();
	return {
		url: `kafka://127.0.0.1:${port}`,
		version: `Apache Kafka ${VERSION}`,
		start,
		stop: () => end('SIGTERM'),
		kill: () => end('SIGKILL'),
		freeze: () => void child.kill('SIGSTOP'),
		thaw: () => void child.kill('SIGCONT'),
	};
}
