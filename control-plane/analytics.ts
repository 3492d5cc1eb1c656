// The one file that asks ClickHouse. Values reach a query as its parameters, never as its text. The tables are those of stream/sinks/clickhouse-tables.ts: rows of
// one key are one, hence FINAL in every query.
import { ClickHouseError, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import type * as z from 'zod';
import { type accuracyAnswer, type historyAnswer, type multipliersAnswer, type refusalsAnswer, type Step, stepMs } from '#schemas/analytics.ts';
import { formatInstant } from '#schemas/instant.ts';
import { limits } from '#schemas/limits.ts';
import type { ClickHousePlace } from './configuration.ts';
import { UnavailableError } from './unavailable-error.ts';

/** from <= t < to, milliseconds since 1970. */
interface Range {
	from: number;
	to: number;
}
type Ranged = Range & { region_id?: string | undefined };

/** Questions to the history. @throws UnavailableError while ClickHouse is away, or takes longer for an answer than it may. */
export interface Analytics {
	/** What was decided and what happened in a region, by steps. An event counts once by its id, at the time it happened, late ones too; not those of the future. */
	history(question: Range & { region_id: string; step: Step }): Promise<z.output<typeof historyAnswer>>;
	/** How multipliers were distributed over decisions. */
	multipliers(question: Ranged): Promise<z.output<typeof multipliersAnswer>>;
	/** Records that the fold set aside, by day and reason. */
	refusals(question: Ranged): Promise<z.output<typeof refusalsAnswer>>;
	/** Forecasts made from features as of from <= as_of < to, against the bookings that came. */
	accuracy(question: Ranged): Promise<z.output<typeof accuracyAnswer>>;
	close(): Promise<void>;
}

const HISTOGRAM_BARS_PER_ONE = 10; // a bar is a tenth wide
const QUARTER_HOUR_MINUTES = 15; // finals of a region without events come this often
const YEAR_MS = 366 * 24 * 3_600_000;
/** What DateTime64 can hold; instants of the contract reach from year 0 to 9999. */
const AT_MAX = Date.UTC(2299, 0);
const at = (instant: number): number => Math.min(Math.max(instant, -60 * YEAR_MS), AT_MAX);

const settings = {
	readonly: '1',
	max_execution_time: limits.history_query_seconds_max,
	max_memory_usage: String(limits.history_query_bytes_max),
	max_result_rows: String(limits.history_rows_max),
	result_overflow_mode: 'throw',
	do_not_merge_across_partitions_select_final: 1, // a key's rows lie in one month
	join_use_nulls: 1, // what was not found is null, not 0
	output_format_json_quote_64bit_integers: 0, // counts are far below 2^53
	output_format_json_quote_decimals: 0,
} as const;

/** Answers of ClickHouse that are no defect of ours, in words for the caller. */
const TOO_LONG = 'The answer takes too much of ClickHouse; ask for a shorter range.';
const LATER: Record<string, string> = {
	'60': 'ClickHouse has no history yet.',
	'81': 'ClickHouse has not the database of CLICKHOUSE_URL.',
	'158': TOO_LONG,
	'159': TOO_LONG,
	'160': TOO_LONG,
	'164': 'ClickHouse lets the user of CLICKHOUSE_URL set no limits: it wants SELECT alone by its grants, not by a readonly profile.',
	'202': 'ClickHouse has too many queries now.',
	'209': TOO_LONG,
	'241': TOO_LONG,
	'396': TOO_LONG,
	'497': 'ClickHouse does not let the user of CLICKHOUSE_URL read the history.',
	'516': 'ClickHouse does not take the user and password of CLICKHOUSE_URL.',
};

const DECIDED = `
	decision FINAL
	WHERE ({region_id:String} = '' OR region_id = {region_id:String})
		AND decided_at >= fromUnixTimestamp64Milli({from:Int64}) AND decided_at < fromUnixTimestamp64Milli({to:Int64})`;

const DECISIONS_BY_STEP = `
	SELECT intDiv(toUnixTimestamp64Milli(decided_at) - {from:Int64}, {step:Int64}) AS step, currency, count() AS decisions,
		sum(toFloat64(surge_multiplier)) AS multipliers, toFloat64(min(surge_multiplier)) AS least, toFloat64(max(surge_multiplier)) AS most,
		sum(amount_minor) AS amounts
	FROM ${DECIDED}
	GROUP BY step, currency ORDER BY step, currency`;

const EVENTS_BY_STEP = `
	SELECT intDiv(toUnixTimestamp64Milli(timestamp) - {from:Int64}, {step:Int64}) AS step,
		countIf(event_type = 'booking') AS bookings, countIf(event_type = 'search') AS searches, countIf(event_type = 'cancel') AS cancels
	FROM event FINAL
	WHERE region_id = {region_id:String} AND event_type IN ('booking', 'search', 'cancel')
		AND timestamp >= fromUnixTimestamp64Milli({from:Int64}) AND timestamp < fromUnixTimestamp64Milli({to:Int64})
		AND toUnixTimestamp64Milli(timestamp) - toUnixTimestamp64Milli(ingested_at) <= {future_ms:Int64}
	GROUP BY step ORDER BY step`;

// Exact, yet by as many values as there are different multipliers.
const QUANTILES = `
	SELECT sum(n) AS decisions, quantilesExactWeighted(0.05, 0.25, 0.5, 0.75, 0.95, 0.99)(multiplier, n) AS quantiles, min(multiplier) AS least, max(multiplier) AS most
	FROM (SELECT toFloat64(surge_multiplier) AS multiplier, count() AS n FROM ${DECIDED} GROUP BY multiplier)`;

const HISTOGRAM = `
	SELECT toInt64(floor(surge_multiplier * {bars:Int64})) AS bar, count() AS decisions
	FROM ${DECIDED}
	GROUP BY bar ORDER BY bar`;

// One row a source. A broker that stamps what it takes may have given an unreadable record that was set aside twice two times: the first counts, so rows of a day
// around the range are looked at, too.
const REFUSALS = `
	SELECT toString(toDate(first)) AS day, topic, kind AS reason, count() AS records
	FROM (
		SELECT topic, log, source, min(at) AS first, argMin(kind, at) AS kind, argMin(region_id, at) AS region
		FROM aside
		WHERE at >= fromUnixTimestamp64Milli({from:Int64}) - INTERVAL 1 DAY AND at < fromUnixTimestamp64Milli({to:Int64}) + INTERVAL 1 DAY
		GROUP BY topic, log, source
	)
	WHERE first >= fromUnixTimestamp64Milli({from:Int64}) AND first < fromUnixTimestamp64Milli({to:Int64})
		AND ({region_id:String} = '' OR region = {region_id:String})
	GROUP BY day, topic, reason ORDER BY day, topic, reason`;

// Bookings that came are those of the finals, what the system itself counted for ever: late ones and repetitions are out by its own rule, and since a region's
// finals come in order through one partition, one at or after a horizon's end says that all of its minutes are here. (Events would come by another topic: nobody
// could say whether all are.) A final tells of a whole minute, so a horizon's minutes are the whole ones from the first that begins at or after as_of: nothing
// that the forecast had seen counts for it. A minute without a final, in a region where an hour was silent, had no booking: totals by minute are what stood last.
// With the last final more than a quarter-hour before a horizon's begin the history has a hole there.
const ACCURACY = `
	WITH
		forecasts AS (
			SELECT region_id, model, minutes, expected, low, high, toInt64(ceil(toUnixTimestamp64Milli(as_of) / 60000)) AS begins, begins + minutes AS ends
			FROM forecast FINAL
			WHERE ({region_id:String} = '' OR region_id = {region_id:String})
				AND as_of >= fromUnixTimestamp64Milli({from:Int64}) AND as_of < fromUnixTimestamp64Milli({to:Int64})
		),
		totals AS (
			SELECT region_id, intDiv(toUnixTimestamp64Milli(as_of), 60000) AS minute,
				sum(ifNull(booking_count_1min, 0)) OVER (PARTITION BY region_id ORDER BY as_of) AS total, max(minute) OVER (PARTITION BY region_id) AS last
			FROM final FINAL
			WHERE ({region_id:String} = '' OR region_id = {region_id:String}) AND region_id IN (SELECT region_id FROM forecasts)
				AND as_of >= fromUnixTimestamp64Milli({from:Int64}) - INTERVAL 1 HOUR AND as_of < fromUnixTimestamp64Milli({to:Int64}) + INTERVAL 2 HOUR
		),
		judged AS (
			SELECT model, minutes, expected, low, high, ended.total - begun.total AS came,
				begun.total IS NOT NULL AND begins - begun.minute < {quarter:Int64} AND ended.last >= ends AS over
			FROM forecasts
			ASOF LEFT JOIN totals AS begun ON forecasts.region_id = begun.region_id AND forecasts.begins >= begun.minute
			ASOF LEFT JOIN totals AS ended ON forecasts.region_id = ended.region_id AND forecasts.ends >= ended.minute
		)
	SELECT model, minutes, countIf(over) AS judged, sumIf(expected, over) AS sum, sumIf(came, over) AS bookings, sumIf(abs(came - expected), over) AS missed, countIf(over AND came >= low AND came <= high) AS covered, countIf(NOT over) AS waiting
	FROM judged
	GROUP BY model, minutes ORDER BY model, minutes`;

/** The history of a ClickHouse server; nothing is asked of it yet. */
export function openAnalytics(place: ClickHousePlace): Analytics {
	const client = createClient({
		...place,
		application: 'surgecast',
		request_timeout: (limits.history_query_seconds_max + 1) * 1000, // the server ends a query first, and says so
		max_open_connections: limits.history_connections_max,
		log: { level: ClickHouseLogLevel.OFF },
	});

	async function ask<T>(query: string, parameters: Record<string, string | number>): Promise<T[]> {
		try {
			const answer = await client.query({ query, query_params: parameters, clickhouse_settings: settings, format: 'JSONEachRow' });
			return await answer.json<T>();
		} catch (error) {
			if (!(error instanceof ClickHouseError)) throw new UnavailableError('ClickHouse does not answer now.', { cause: error });
			const words = LATER[error.code];
			if (words === undefined) throw error;
			throw new UnavailableError(words, { cause: error });
		}
	}

	return {
		async history({ region_id, from, to, step }) {
			const parameters = { region_id, from: at(from), to: at(to), step: stepMs[step], future_ms: limits.future_ms_max };
			const [decisions, events] = await Promise.all([
				ask<{ step: number; currency: string; decisions: number; multipliers: number; least: number; most: number; amounts: number }>(
					DECISIONS_BY_STEP,
					parameters,
				),
				ask<{ step: number; bookings: number; searches: number; cancels: number }>(EVENTS_BY_STEP, parameters),
			]);
			const byStep = Map.groupBy(decisions, (row) => row.step);
			const happened = new Map(events.map((row) => [row.step, row]));
			const steps = [...new Set([...byStep.keys(), ...happened.keys()])].sort((a, b) => a - b);
			const items = steps.map((number) => {
				const priced = byStep.get(number) ?? [];
				const count = priced.reduce((sum, row) => sum + row.decisions, 0);
				const mean = priced.reduce((sum, row) => sum + row.multipliers, 0) / count;
				const { bookings = 0, searches = 0, cancels = 0 } = happened.get(number) ?? {};
				return {
					at: formatInstant(parameters.from + number * parameters.step),
					decisions: count,
					multiplier: count === 0 ? null : { mean, min: Math.min(...priced.map(({ least }) => least)), max: Math.max(...priced.map(({ most }) => most)) },
					prices: priced.map((row) => ({ currency: row.currency, decisions: row.decisions, mean_amount_minor: row.amounts / row.decisions })),
					bookings,
					searches,
					cancels,
				};
			});
			return { region_id, step, items };
		},

		async multipliers({ region_id = '', from, to }) {
			const parameters = { region_id, from: at(from), to: at(to) };
			const [[all], bars] = await Promise.all([
				ask<{ decisions: number; quantiles: [number, number, number, number, number, number]; least: number; most: number }>(QUANTILES, parameters),
				ask<{ bar: number; decisions: number }>(HISTOGRAM, { ...parameters, bars: HISTOGRAM_BARS_PER_ONE }),
			]);
			const histogram = bars.map(({ bar, decisions }) => ({ from: bar / HISTOGRAM_BARS_PER_ONE, to: (bar + 1) / HISTOGRAM_BARS_PER_ONE, decisions }));
			if (!all || all.decisions === 0) return { decisions: 0, quantiles: null, histogram: [] };
			const [p05, p25, p50, p75, p95, p99] = all.quantiles;
			return { decisions: all.decisions, quantiles: { min: all.least, p05, p25, p50, p75, p95, p99, max: all.most }, histogram };
		},

		async refusals({ region_id = '', from, to }) {
			return { items: await ask<z.output<typeof refusalsAnswer>['items'][number]>(REFUSALS, { region_id, from: at(from), to: at(to) }) };
		},

		async accuracy({ region_id = '', from, to }) {
			const rows = await ask<{
				model: string;
				minutes: number;
				judged: number;
				sum: number | null;
				bookings: number | null;
				missed: number | null;
				covered: number;
				waiting: number;
			}>(ACCURACY, { region_id, from: at(from), to: at(to), quarter: QUARTER_HOUR_MINUTES });
			const items = rows.map(({ model, minutes, judged, sum, bookings, missed, covered, waiting }) => ({
				model,
				horizon_minutes: minutes,
				forecasts: judged,
				expected: sum ?? 0,
				bookings: bookings ?? 0,
				wape: bookings ? (missed ?? 0) / bookings : null,
				coverage: judged === 0 ? null : covered / judged,
				waiting,
			}));
			return { items };
		},

		close: () => client.close(),
	};
}
