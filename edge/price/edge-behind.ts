import { type Behind, behind, type Failing, failing } from '#schemas/behind.ts';
import { limits } from '#schemas/limits.ts';
import { shardsHeard } from './copies.ts';
import { outboxStandings } from './outbox-batch.ts';

/** What was wrong at the last look: it keeps the instant at which this isolate first saw it. */
let seen = new Map<string, Failing>();

/**
 * What lags or fails behind the clients' door, as this isolate last heard of it: Shards that do not answer, that no frame reaches, whose models are not those of
 * the release, and Outboxes in which something waits for a human. Prices go on meanwhile. `now`: wall clock, milliseconds.
 */
export function edgeBehind(now: number): Behind[] {
	const found = new Map<string, Failing>();
	const note = (what: string, cause: string, since?: number): void => {
		found.set(what, since === undefined ? failing(seen.get(what), { cause, now }) : { since, cause });
	};
	for (const [n, { silent_since, now: cityNow, as_of, models }] of shardsHeard()) {
		if (silent_since > 0) note(`shard ${n}`, 'it does not answer', silent_since);
		// On a city's clock frames come when the replay goes on.
		else if (cityNow === null && as_of !== null && now - as_of > limits.features_behind_ms) note(`features of shard ${n}`, 'no frame came since', as_of);
		if (models?.trouble) note(`models of shard ${n}`, models.trouble);
	}
	for (const [n, { taken, refused }] of outboxStandings()) {
		if (!taken) note(`outbox ${n}`, 'it is full, and takes no more decisions');
		else if (refused > 0) note(`outbox ${n}`, `${refused} batches of decisions were refused by ingestion for good, and are set aside`);
	}
	seen = found;
	return [...found].map(([what, failure]) => behind(what, failure, now));
}
