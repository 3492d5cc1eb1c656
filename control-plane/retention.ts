import { limits } from '#schemas/limits.ts';
import type { Connection } from './database/database.ts';
import { dropDecisionDays, FIRST_DAY } from './database/decision-days.ts';
import { deleteDecisions, deleteUnusedSnapshots } from './database/retention.ts';
import { errorText, logLine } from './log-line.ts';

export interface Retention {
	/** Deletes what is due: days of decisions, and up to limits.retention_steps_max steps of snapshots; what is left is for the next time. */
	deleteDue(): Promise<{ days: number; snapshots: number }>;
	/** Does so every limits.retention_ms. */
	start(): void;
	/** No more steps; resolves when the one under way has ended. */
	stop(): Promise<void>;
}

/**
 * Keeps the audit bounded: a day of decisions goes when its last instant is limits.decisions_keep_ms ago, snapshots when no decision refers to them any
 * more. A day is dropped whole; the rest goes in small steps, so that nobody else waits for the database.
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

	const deleteDue = async (): Promise<{ days: number; snapshots: number }> => {
		const gone = { days: 0, snapshots: 0 };
		const before = clock() - limits.decisions_keep_ms;
		gone.days = (await dropDecisionDays(connection, before)).length;
		// What was decided before there were days: a clock that was wrong.
		for (let step = 0, deleted = limit; step < stepsMax && deleted === limit && !stopped; step++)
			deleted = await deleteDecisions(connection, { before: Math.min(before, FIRST_DAY), limit });
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
