import type { Metrics } from '#control-plane/metrics.ts';
import type { Behind } from '#schemas/behind.ts';

/** What a process lists as behind, in its metrics. */
export function behindGauges(metrics: Metrics, behind: () => readonly Behind[]): void {
	metrics.gauge('surgecast_behind', { help: 'What lags or fails behind the door, as GET /readyz lists it', read: () => behind().length });
	metrics.gauge('surgecast_behind_seconds', { help: 'The longest of it', read: () => Math.max(0, ...behind().map(({ seconds }) => seconds)) });
}
