import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** The metrics of one door. Several doors may live in one process, so each has a registry of its own. */
export interface Metrics {
	registry: Registry;
	/** One answered request. `route` is the path of the route table, never the path that was sent. */
	observe(request: { method: string; route: string; status: number; seconds: number }): void;
	/** A gauge that is read when somebody looks. */
	gauge(name: string, options: { help: string; read: () => number | Promise<number> }): void;
	/** A counter, and the function that adds to it. */
	counter(name: string, options: { help: string }): (by?: number) => void;
}

/** A registry with the two HTTP metrics that every door has. */
export function createMetrics(): Metrics {
	const registry = new Registry();
	const registers = [registry];
	const total = new Counter({ name: 'http_requests_total', help: 'Answered requests', labelNames: ['method', 'route', 'status'], registers });
	const duration = new Histogram({
		name: 'http_request_duration_seconds',
		help: 'From the headers to the answer',
		labelNames: ['method', 'route'],
		buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
		registers,
	});
	return {
		registry,
		observe({ method, route, status, seconds }) {
			total.inc({ method, route, status });
			duration.observe({ method, route }, seconds);
		},
		gauge(name, { help, read }) {
			new Gauge({
				name,
				help,
				registers,
				async collect() {
					this.set(await read());
				},
			});
		},
		counter(name, { help }) {
			const counter = new Counter({ name, help, registers });
			return (by = 1) => counter.inc(by);
		},
	};
}
