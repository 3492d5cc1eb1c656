/** Counters of this isolate: name{labels} -> value. On Cloudflare each isolate counts for itself; sum over them. */
const counters = new Map<string, number>();

const help: Record<string, string> = {
	surgecast_edge_requests_total: 'Requests by route and status',
	surgecast_edge_prices_total: 'Prices by status (priced, stale, baseline, tariff, frozen)',
	surgecast_edge_refreshes_total: 'Questions to Shards by outcome',
	surgecast_edge_older_snapshots_total: 'Snapshots refused because the isolate held a newer one',
	surgecast_edge_rule_sets_refused_total: 'Rule set bodies that did not compile here',
	surgecast_edge_decisions_total: 'Decisions handed to the Outbox, kept for a later try, or dropped',
	surgecast_edge_condition_errors_total: 'Adjustments that did not hold because something was missing',
};

/** Adds to a counter; `labels` is the text inside the braces. */
export function count(name: keyof typeof help, labels = '', by = 1): void {
	const key = labels ? `${name}{${labels}}` : name;
	counters.set(key, (counters.get(key) ?? 0) + by);
}

/** Prometheus text of the counters and of the gauges given. */
export function metricsText(gauges: Record<string, number>): string {
	const lines: string[] = [];
	for (const [name, text] of Object.entries(help)) {
		lines.push(`# HELP ${name} ${text}`, `# TYPE ${name} counter`);
		for (const [key, value] of counters) if (key === name || key.startsWith(`${name}{`)) lines.push(`${key} ${value}`);
	}
	for (const [name, value] of Object.entries(gauges)) lines.push(`# TYPE ${name} gauge`, `${name} ${value}`);
	return `${lines.join('\n')}\n`;
}
