import type { DecisionBatch } from '#schemas/decision.ts';
import type { EventLog } from '../log/event-log.ts';
import { IsolateGaps } from './isolate-gaps.ts';
import { openSink } from './open-sink.ts';
import type { Sink } from './sink.ts';
import { type SinkGroup, sinkGroups } from './sink-groups.ts';

const GROUP: SinkGroup = 'decisions-to-postgres';

export interface DecisionSink extends Sink {
	/** `stored`: decisions; `gaps`: sequence numbers of isolates that never came, known to a sink that has every partition: 0 to those that share them. */
	readonly counts: Sink['counts'] & { readonly stored: number; readonly gaps: number };
}

/** Topic pricing-decisions into the store, which has a decision once by its id. */
export async function openDecisionSink(options: {
	log: EventLog;
	store: (batch: DecisionBatch) => Promise<unknown>;
	onTrouble?: (text: string) => void;
	retry_ms?: number;
}): Promise<DecisionSink> {
	/** Of the partitions that are moved here since then; an isolate's decisions are spread over all of them. */
	let watched: { partitions: string; gaps: IsolateGaps } | undefined;
	const sink = await openSink({
		...options,
		group: GROUP,
		topics: sinkGroups[GROUP],
		kinds: ['decision', 'snapshot'],
		what: 'the store of decisions',
		async write({ records }) {
			const batch: DecisionBatch = { decisions: [], snapshots: [] };
			for (const { decoded } of records) {
				if (decoded.kind === 'decision') batch.decisions.push(decoded.record);
				else if (decoded.kind === 'snapshot') batch.snapshots.push(decoded.snapshot);
			}
			if (batch.decisions.length + batch.snapshots.length > 0) await options.store(batch);
			counts.stored += batch.decisions.length;
			const partitions = sink.partitions().join();
			if (watched?.partitions !== partitions) watched = { partitions, gaps: new IsolateGaps() };
			for (const { isolate, sequence } of batch.decisions) watched.gaps.see(isolate, sequence);
			counts.gaps = sink.partitions().length === options.log.partitions ? watched.gaps.count : 0;
			return undefined;
		},
	});
	// The mover's own counts, and ours beside them: one object, always as it stands.
	const counts = Object.assign(sink.counts, { stored: 0, gaps: 0 });
	return { ...sink, counts };
}
