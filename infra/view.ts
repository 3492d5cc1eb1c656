import { stdout } from 'node:process';
import type { PriceAnswer } from '#schemas/price.ts';

export interface ViewSource {
	/** The last answer of every region that was priced. */
	answers: ReadonlyMap<string, PriceAnswer>;
	names: (regionId: string) => string;
	simulated: boolean;
	bursts: () => readonly string[];
	/** Totals since the start. */
	counts: () => { events: number; prices: number; failures: number };
	/** What is wrong, or null. */
	trouble: () => string | null;
}

const PLAIN_EVERY_MS = 10_000;
const TTY_EVERY_MS = 1000;
const ROWS = 12;

const pad = (text: string, width: number) => (text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width));
const left = (text: string, width: number) => text.padStart(width);

/** One line a region: where demand moves prices most, first. */
function rows(source: ViewSource): string[] {
	const answers = [...source.answers.values()].sort((a, b) => b.surge_multiplier - a.surge_multiplier || (a.region_id < b.region_id ? -1 : 1)).slice(0, ROWS);
	return answers.map((answer) => {
		const { forecast, versions } = answer;
		return [
			pad(`${answer.region_id} ${source.names(answer.region_id)}`, 40),
			left(forecast ? forecast.expected_bookings.toFixed(0) : '-', 8),
			left(forecast ? forecast.demand_score.toFixed(2) : '-', 7),
			left(forecast?.supply_score?.toFixed(2) ?? '-', 7),
			left(`x${answer.surge_multiplier.toFixed(2)}`, 7),
			left(`${answer.price.toFixed(2)} ${answer.currency}`, 12),
			left(versions.age_ms === null ? '-' : `${(versions.age_ms / 1000).toFixed(1)} s`, 8),
			`  ${answer.status}`,
		].join('');
	});
}

/** A live view where there is a terminal, a plain line every ten seconds elsewhere. Returns how to stop it. */
export function openView(source: ViewSource): () => void {
	let before = { ...source.counts(), at: performance.now() };
	const tty = Boolean(stdout.isTTY);
	let drawn = 0;
	function rates(): string {
		const now = { ...source.counts(), at: performance.now() };
		const seconds = (now.at - before.at) / 1000;
		const text = `${((now.events - before.events) / seconds).toFixed(0)} events/s, ${((now.prices - before.prices) / seconds).toFixed(0)} prices/s${now.failures > before.failures ? `, ${now.failures - before.failures} failed` : ''}`;
		before = now;
		return text;
	}
	function draw(): void {
		const label = source.simulated ? 'simulated city, ' : '';
		const trouble = source.trouble();
		if (!tty) {
			const answers = [...source.answers.values()];
			const top = answers.sort((a, b) => b.surge_multiplier - a.surge_multiplier)[0];
			const median = answers[Math.floor(answers.length / 2)];
			const prices =
				top && median
					? `; ${answers.length} regions, median x${median.surge_multiplier.toFixed(2)}, highest ${top.region_id} x${top.surge_multiplier.toFixed(2)}`
					: '';
			console.log(`${new Date().toISOString().slice(11, 19)} ${label}${rates()}${prices}${trouble ? `; ${trouble}` : ''}`);
			return;
		}
		const lines = [
			`${label}${rates()}${source.bursts().length > 0 ? `; bursts: ${source.bursts().join(', ')}` : ''}`,
			...(trouble ? [`trouble: ${trouble}`] : []),
			source.answers.size > 0
				? `${pad('region', 40)}${left('expects', 8)}${left('demand', 7)}${left('supply', 7)}${left('surge', 7)}${left('price', 12)}${left('age', 8)}  status`
				: 'No price was asked for yet: paste the line above.',
			...rows(source),
		].map((line) => line.slice(0, Math.max(40, stdout.columns - 1)));
		// Over the view before it: up, clear to the end of the screen, write.
		stdout.write(`${drawn > 0 ? `\x1b[${drawn}A` : ''}\x1b[J${lines.join('\n')}\n`);
		drawn = lines.length;
	}
	const timer = setInterval(draw, tty ? TTY_EVERY_MS : PLAIN_EVERY_MS);
	if (tty) draw();
	return () => clearInterval(timer);
}
