// Counters of this isolate. On Cloudflare each isolate counts for itself; sum over them.

/** Name -> its label ('' for none) and what it means. Every label's values come from a fixed list in code, never from a request. */
const counters = {
	surgecast_edge_requests_total: { label: 'call', help: 'Requests by route of the table (else "other") and status' },
	surgecast_edge_prices_total: { label: 'status', help: 'Prices by status (priced, stale, baseline, tariff, frozen)' },
	surgecast_edge_refreshes_total: { label: 'outcome', help: 'Questions to Shards by outcome' },
	surgecast_edge_older_snapshots_total: { label: '', help: 'Snapshots refused or merged because the isolate held something newer' },
	surgecast_edge_rule_sets_refused_total: { label: '', help: 'Rule set bodies that did not compile here' },
	surgecast_edge_kv_releases_refused_total: { label: '', help: 'Releases in KV that the control plane did not sign, or that do not fit' },
	surgecast_edge_decisions_total: { label: 'outcome', help: 'Decisions handed to an Outbox, kept for a later try, or dropped' },
	surgecast_edge_condition_errors_total: { label: '', help: 'Adjustments that did not hold because something was missing' },
} as const;
type Counter = keyof typeof counters;

const counts = Object.fromEntries(Object.keys(counters).map((name) => [name, new Map<string, number>()])) as Record<Counter, Map<string, number>>;

/** Adds to a counter, under a value of its label. */
export function count(name: Counter, value = '', by = 1): void {
	const values = counts[name];
	values.set(value, (values.get(value) ?? 0) + by);
}

/** Requests by route and status: statuses are few, so a small map each, without a text made per request. */
const requests = new Map<string, Map<number, number>>();
export function countRequest(route: string, status: number): void {
	let statuses = requests.get(route);
	if (!statuses) {
		statuses = new Map();
		requests.set(route, statuses);
	}
	statuses.set(status, (statuses.get(status) ?? 0) + 1);
}

/** Prometheus text of the counters and of the gauges given. */
export function metricsText(gauges: Record<string, number>): string {
	const lines: string[] = [];
	for (const [name, { label, help }] of Object.entries(counters)) {
		lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} counter`);
		if (name === 'surgecast_edge_requests_total')
			for (const [route, statuses] of requests) for (const [status, n] of statuses) lines.push(`${name}{route="${route}",status="${status}"} ${n}`);
		for (const [value, n] of counts[name as Counter]) lines.push(`${name}${label ? `{${label}="${value}"}` : ''} ${n}`);
	}
	for (const [name, value] of Object.entries(gauges)) lines.push(`# TYPE ${name} gauge`, `${name} ${value}`);
	return `${lines.join('\n')}\n`;
}
