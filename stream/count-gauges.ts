import type { Metrics } from '#control-plane/metrics.ts';

/** Counts of a part of a process as gauges `surgecast_<part>_<count>`. `title` names the part in the help text. */
export function countGauges<Name extends string>(
	metrics: Metrics,
	part: string,
	{ title, counts }: { title: string; counts: { readonly [Key in Name]: number } },
): void {
	for (const name in counts) metrics.gauge(`surgecast_${part}_${name}`, { help: `${title}: ${name} since the start`, read: () => counts[name] });
}
