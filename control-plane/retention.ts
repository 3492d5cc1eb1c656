import { limits } from '#schemas/limits.ts';
import type { Connection } from './database/open-database.ts';
import { deleteDecisions, deleteUnusedSnapshots } from './database/retention.ts';
import { errorText, logLine } from './log-line.ts';

export interface Retention {
	/** Deletes what is due, up to limits.retention_steps_max steps of each kind; what is left is for the next time. */
	deleteDue(): Promise<{ decisions: number; snapshots: number }>;
	/** Does so every limits.retention_ms. */
	start(): void;
	/** No more steps; resolves when the one under way has ended. */
	stop(): Promise<void>;
}

/**
 * Keeps the audit bounded: decisions go limits.decisions_keep_ms after they were made, snapshots when no decision refers to them any more. In small steps,
 * so that nobody else waits for the database.
 * @param options.clock the deployment clock, by which decisions are dated.
 * @param options.wall the wall clock, by which snapshots are stored.
 */
export function createRetention({ connection, clock, wall = Date.now }: { connection: Connection; clock: () => number; wall?: () => number }): Retention {
	const limit: number = limits.retention_step;
	const stepsMax = limits.retention_steps_max;
	let running: Promise<unknown> = Promise.resolve();
	let timer: NodeJS.Timeout | undefined;
	let stopped = false;
	/** Where the walk over the snapshots goes on. */
	let after = '';

	const deleteDue = async (): Promise<{ decisions: number; snapshots: number }> => {
		const gone = { decisions: 0, snapshots: 0 };
		const before = clock() - limits.decisions_keep_ms;
		for (let step = 0, deleted = limit; step < stepsMax && deleted === limit && !stopped; step++) {
			deleted = await deleteDecisions(connection, { before, limit });
			gone.decisions += deleted;
		}
		const storedBefore = wall() - limits.snapshot_unused_ms;
		for (let step = 0; step < stepsMax && !stopped; step++) {
			const { deleted, last } = await deleteUnusedSnapshots(connection, { after, storedBefore, limit });
			gone.snapshots += deleted;
			after = last ?? '';
			if (last === null) break;
		}
		return gone;
	};

	const background = async (): Promise<void> => {
		try {
			await deleteDue();
		} catch (error) {
			logLine('warn', { what: 'Old decisions stay for now', error: errorText(error) });
		}
	};

	return {
		deleteDue,
		start() {
			timer ??= setInterval(() => {
				running = running.then(background);
			}, limits.retention_ms).unref();
		},
		async stop() {
			stopped = true;
			clearInterval(timer);
			await running;
		},
	};
}
