import type { ClickHousePlace } from '#control-plane/configuration.ts';
import { limits } from '#schemas/limits.ts';
import type { Topic } from '#schemas/topic.ts';
import { decode } from '../avro/codec.ts';
import type { EventLog, StoredRecord } from '../log/event-log.ts';
import { addRows, type Rows, rowsOf, rowsOfAside } from './clickhouse-rows.ts';
import { openClickHouseStore } from './clickhouse-store.ts';
import { openMover } from './mover.ts';
import type { Sink, SinkBatch } from './sink.ts';
import { type SinkGroup, sinkGroups } from './sink-groups.ts';

const GATHER = { records_max: limits.history_gather_records, ms: limits.history_gather_ms };

export interface ClickHouseSink extends Sink {
	/** `stored`: rows, counted again when they come again; `refused`: rows that ClickHouse does not take, named and left out. */
	readonly counts: Sink['counts'] & { readonly stored: number; readonly refused: number };
}

/**
 * The log into ClickHouse: events, final features, decisions with their snapshots and forecasts, and what the fold set aside. Rows come at least once and are one by
 * what they say (clickhouse-tables.ts). Any number of processes may run it; the server need not be there: all waits in the log.
 * @param options.gather how many records make a full round, and how long a smaller one waits for the next.
 */
export async function openClickHouseSink(options: {
	place: ClickHousePlace;
	log: EventLog;
	onTrouble?: (text: string) => void;
	retry_ms?: number;
	gather?: { records_max: number; ms: number };
}): Promise<ClickHouseSink> {
	const { place, log, onTrouble = () => undefined, retry_ms, gather = GATHER } = options;
	const store = openClickHouseStore(place, { onRefused: onTrouble });

	async function write(batches: SinkBatch<Rows>[]): Promise<undefined> {
		const rows: Rows = {};
		for (const { records } of batches) for (const { decoded } of records) addRows(rows, decoded);
		await store.put(rows);
	}
	const open = (group: SinkGroup, { what, rowsOf }: { what: string; rowsOf: (record: StoredRecord, topic: Topic) => Rows }) =>
		openMover({ log, group, topics: sinkGroups[group], what, decode: (record, { topic }) => rowsOf(record, topic), write, gather, onTrouble, retry_ms });

	const history = await open('history-to-clickhouse', { what: 'the history in ClickHouse', rowsOf: ({ value }) => rowsOf(decode(value)) });
	const asides = await open('asides-to-clickhouse', {
		what: 'the asides in ClickHouse',
		rowsOf: (record, topic) => rowsOfAside(record, { topic, log: log.identity }),
	});
	const both = [history, asides];
	const sum = (name: keyof Sink['counts']) => both.reduce((total, { counts }) => total + counts[name], 0);
	return {
		counts: {
			get moved() {
				return sum('moved');
			},
			get failures() {
				return sum('failures');
			},
			get unreadable() {
				return sum('unreadable');
			},
			get stored() {
				return store.counts.stored;
			},
			get refused() {
				return store.counts.refused;
			},
		},
		partitions: history.partitions,
		trouble: () => history.trouble() ?? asides.trouble(),
		lag() {
			const lags = both.map((sink) => sink.lag());
			return { records: lags.reduce((total, { records }) => total + records, 0), since: Math.min(...lags.map(({ since }) => since)) };
		},
		behind: () => both.flatMap((sink) => sink.behind()),
		start() {
			for (const sink of both) sink.start();
		},
		async drain(wait_ms) {
			await Promise.all(both.map((sink) => sink.drain(wait_ms)));
		},
		async stop() {
			// An insert that hangs is broken off: it comes again.
			const late = setTimeout(() => void store.close(), limits.sink_drain_ms);
			await Promise.all(both.map((sink) => sink.stop()));
			clearTimeout(late);
			await store.close();
		},
	};
}
