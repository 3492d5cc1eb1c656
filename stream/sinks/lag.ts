/** How far a reader is behind the ends of the log, in records and in time. */
export interface Lag {
	/** Records that were in the log at the last look and are not yet moved. */
	records: number;
	/** Everything that was in the log at this instant is moved: wall clock, milliseconds. */
	since: number;
}

export interface LagMeter {
	/** As the last look found it. */
	lag(): Lag;
	/** Asks for the ends now. A failure changes nothing: the lag grows by itself meanwhile. */
	look(): Promise<void>;
}

/**
 * Measures lag against the ends as they were when they were last asked: once all of those are passed, everything up to that instant is moved. So it needs no
 * clock of the log's, and answers never less than the truth, by at most the time between two looks.
 * @param options.places what is read now, each with where its reader stands and where it ends; both may ask the log.
 * @param options.now the wall clock, milliseconds.
 */
export function lagMeter(options: {
	places: () => Iterable<{ key: string; position(): Promise<number>; end(): Promise<number> }>;
	now?: () => number;
}): LagMeter {
	const { places, now = Date.now } = options;
	let lag: Lag = { records: 0, since: now() };
	/** The ends to be passed, and when they were asked. */
	let goal: { ends: Map<string, number>; at: number } | undefined;
	return {
		lag: () => lag,
		async look() {
			const at = now();
			const found = await Promise.all(
				Array.from(places(), async ({ key, position, end }) => {
					const high = await end();
					return { key, high, left: Math.max(0, high - (await position())) };
				}),
			);
			const records = found.reduce((sum, { left }) => sum + left, 0);
			// Of a place that belongs to another reader by now nothing is wanted here; of one that came, all that it has.
			const passed = goal !== undefined && found.every(({ key, high, left }) => high - left >= (goal?.ends.get(key) ?? high));
			lag = { records, since: records === 0 ? at : passed ? goal!.at : lag.since };
			if (passed || !goal) goal = { ends: new Map(found.map(({ key, high }) => [key, high])), at };
		},
	};
}
