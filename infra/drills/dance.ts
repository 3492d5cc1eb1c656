import { databaseCheckpoints } from '#control-plane/database/feature-checkpoints.ts';
import { openDatabase } from '#control-plane/database/open-database.ts';
import { kafkaPlace } from '#control-plane/kafka-place.ts';
import { openKeys, serviceToken } from '#control-plane/keys.ts';
import { limits } from '#schemas/limits.ts';
import { databaseCatalogue } from '#stream/database-catalogue.ts';
import { openKafkaLog } from '#stream/log/kafka-log.ts';
import type { AloneName } from '../alone/alone.ts';
import { random } from '../city/random.ts';
import { findFinals } from '../find-finals.ts';
import { until } from '../until.ts';
import { type Account, account } from './account.ts';
import { openDeployment, type Part } from './deployment.ts';
import { findConfiguration, findDecisions, findEvents } from './find.ts';
import { emptyLedger } from './ledger.ts';
import { openLoad } from './load.ts';
import { finalsDiffer, refold } from './refold.ts';

const PARTITIONS = 6;
const WORKERS = 3;
/** Of whatever is scaled by starting more of it, beside the workers. */
const TWINS = 2;
/** So short that finals come soon. */
const LATENESS_SECONDS = 15;
const MINUTE_MS = 60_000;
/** Longer than a session: a member that is silent so long has lost its partitions. */
const FREEZE_MS = limits.kafka_session_ms + 3000;
/** What the drill holds the product to: no partition is without an owner for longer. */
export const UNOWNED_MS_MAX = 15_000;

const fates = ['stop', 'kill', 'freeze'] as const;

export interface DanceReport extends Account {
	unexpected: string[];
	/** Finals that were compared with those of a fold without faults, and where they differ. */
	finals: number;
	differences: string[];
	/** The longest that a Shard was not confirmed by any owner of its partition while all was as it should be but for the workers, milliseconds. */
	unowned_ms: number;
	kills: number;
}

/**
 * The product as processes of their own, several of each but the edge, on a real Kafka and PostgreSQL, under load, while they are stopped, killed, frozen and
 * started in turn. In the end everything acknowledged is counted once, and the finals equal those of one fold from zero, field by field.
 */
export async function openDance(options: { seed: number; kafka: string; database: string; env?: Record<string, string>; tell?: (line: string) => void }) {
	const { kafka, database, tell = () => undefined } = options;
	const next = random(options.seed);
	const ledger = emptyLedger();
	const load = openLoad(ledger, next);
	const deployment = await openDeployment({
		LOG_URL: kafka,
		DATABASE_URL: database,
		PARTITIONS: String(PARTITIONS),
		LATENESS_SECONDS: String(LATENESS_SECONDS),
		...options.env,
	});
	let unowned_ms = 0;
	const between = (least: number, most: number): number => Math.round(least + next() * (most - least));

	const several = (name: AloneName, length: number) => Array.from({ length }, (_, seat) => deployment.start(name, seat));
	// All at once, in any order: one of the control planes makes the tables, the others wait for them.
	const parts = await Promise.all([
		deployment.start('edge'),
		...(['control-plane', 'ingestion', 'sinks'] as const).flatMap((name) => several(name, TWINS)),
		...several('feature-worker', WORKERS),
	]).catch(async (error) => {
		await deployment.tidy();
		throw error;
	});
	const workers = () => parts.filter(({ name }) => name === 'feature-worker');
	/** Another life of a part, in its seat. */
	async function again(part: Part): Promise<void> {
		parts[parts.indexOf(part)] = await deployment.start(part.name, part.seat);
	}
	const first = { region_id: 'sg-central', product_type: 'standard_ride' };
	const priced = async () => (await deployment.call('edge', 'POST', '/api/v1/price', { role: 'client', body: first })).status === 200;
	await until('a first price', priced, { within: MINUTE_MS });

	/** What each Shard was told last: the instant that its partition is folded to, milliseconds; null before anything was told to its memory. */
	async function confirmed(): Promise<(number | null)[]> {
		const keys = openKeys(deployment.keysDir);
		const authorization = `Bearer ${await serviceToken(keys, { kind: 'control-plane', audience: 'surgecast' })}`;
		const state = async (shard: number) => {
			const answer = await fetch(`${deployment.urls.edge}/internal/shards/${shard}`, { headers: { authorization }, signal: AbortSignal.timeout(5000) });
			return ((await answer.json()) as { as_of: number | null }).as_of;
		};
		return Promise.all(Array.from({ length: PARTITIONS }, (_, shard) => state(shard)));
	}

	/** Resolves when every partition is folded beyond `since`; remembers the longest that one was not. */
	async function owned(since: number): Promise<number> {
		let longest = 0;
		const all = async () => {
			const now = Date.now();
			const least = Math.min(...(await confirmed()).map((as_of) => as_of ?? since));
			longest = Math.max(longest, now - least);
			return least > since;
		};
		await until('an owner of every partition', all, { within: MINUTE_MS, every: 100 });
		unowned_ms = Math.max(unowned_ms, longest);
		return longest;
	}

	const soFar = () => `${ledger.events.size} events, ${ledger.decisions.length} decisions`;
	const endsWell = async (part: Part): Promise<void> => {
		const code = await part.stop();
		if (code !== 0) throw new Error(`SIGTERM to ${part.name}: exit ${code}\n${part.output().slice(-3000)}`);
	};

	return {
		/** Feature workers are stopped, killed or frozen past their session, one a round, while the others go on (F3, F4). */
		async dance(rounds: number): Promise<void> {
			load.start(deployment);
			for (let round = 1; round <= rounds; round++) {
				await wait(between(500, 3000));
				const worker = workers()[between(0, WORKERS - 1)]!;
				const fate = fates[between(0, fates.length - 1)]!;
				let at = Date.now();
				if (fate === 'freeze') {
					worker.child.kill('SIGSTOP');
					await Promise.all([owned(at), wait(FREEZE_MS)]); // by the others
					at = Date.now();
					worker.child.kill('SIGCONT');
				} else {
					if (fate === 'stop') await endsWell(worker);
					else await worker.kill();
					// The others own everything before it is back, or while it comes back.
					if (next() < 0.5) await owned(at);
					at = Date.now();
					await again(worker);
				}
				const longest = await owned(at);
				tell(
					`dance ${round}/${rounds}: worker ${worker.seat} ${fate}; every partition owned again, the longest gap ${(longest / 1000).toFixed(1)} s; ${soFar()}`,
				);
			}
			await load.end();
			await load.settle(deployment);
		},
		/** kill -9 of each process in turn under load, and a start on the same servers (F38). */
		async killEach(): Promise<void> {
			for (const part of [...parts]) {
				load.start(deployment);
				await wait(between(500, 1500));
				const at = Date.now();
				await part.kill();
				if (part.name === 'edge' || part.name === 'ingestion') await wait(1000); // its workerd ends after it
				if (part.name === 'edge') ledger.kills.push({ at, gone: Date.now() });
				await again(part);
				await until('a price', priced, { within: MINUTE_MS });
				await owned(Date.now());
				await load.end();
				await load.settle(deployment);
				tell(`kill -9 of ${part.name} ${part.seat}: ready again; ${soFar()}`);
			}
		},
		/** Waits for the finals of everything that was sent, stops every process, and compares. */
		async finish(): Promise<DanceReport> {
			await load.settle(deployment);
			const minute = Math.ceil((Date.now() + 1) / MINUTE_MS) * MINUTE_MS;
			tell(`waiting for the finals of ${new Date(minute).toISOString()}`);
			await wait(Math.max(0, minute + LATENESS_SECONDS * 1000 + limits.stamp_to_append_ms_max - Date.now()));
			const configuration = await findConfiguration(deployment, ledger);
			const log = await openKafkaLog(kafkaPlace(kafka), { partitions: PARTITIONS, client_id: 'surgecast-drill', onTrouble: tell });
			const opened = await openDatabase(database);
			try {
				const progress = async () => {
					const states = await Promise.all(Array.from({ length: PARTITIONS }, (_, part) => databaseCheckpoints(opened.connection).load(part)));
					return states.every((state) => !state || state.progress.final_minute >= minute); // none: a partition without events
				};
				await until('the finals', progress, { within: 60_000, every: 500 });
				// Whoever writes into the log ends before those that empty it.
				for (const part of [...workers(), ...parts.filter(({ name }) => name !== 'feature-worker')]) await endsWell(part);
				const catalogue = databaseCatalogue(opened.connection);
				await catalogue.refresh();
				const finals = await findFinals(log);
				const wanted = await refold(log, { catalogue, lateness_ms: LATENESS_SECONDS * 1000, until: minute });
				const found = { ...configuration, ...(await findEvents(log)), decisions: await findDecisions(database) };
				return {
					...account(ledger, found),
					unexpected: ledger.unexpected,
					finals: finals.size,
					differences: finalsDiffer(finals, wanted, minute),
					unowned_ms,
					kills: ledger.kills.length,
				};
			} finally {
				await log.close();
				await opened.close();
			}
		},
		/** Leaves nothing behind on this machine; what is on the servers is theirs. */
		async tidy(): Promise<void> {
			await deployment.tidy();
			await load.end();
		},
	};
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
