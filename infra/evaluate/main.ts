// npm run evaluate -- --data DIR --month YYYY-MM [--model NAME@VERSION | --model-dir DIR] [--plot DIR] [--record]
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { drawPlots, PlotCollector } from './draw-plots.ts';
import { evaluateMonth } from './evaluate-month.ts';
import { jsonText } from './json-text.ts';
import { CHAMPION, readModel } from './read-model.ts';
import { figuresOf, reportOf } from './report.ts';

const HELP = `npm run evaluate -- --data DIR --month YYYY-MM   judges a model on a month of counts by zone and hour; the weeks before it warm the usuals
  --model NAME@VERSION   default: the sample's champion
  --model-dir DIR        a model that is not released: DIR has model.onnx and manifest.json
  --plot DIR             SVG files: forecast against truth for some zones, error by hour of day
  --record               writes the figures into the manifest of --model-dir`;

async function main(): Promise<void> {
	const { values: options } = parseArgs({
		options: {
			data: { type: 'string' },
			month: { type: 'string' },
			model: { type: 'string' },
			'model-dir': { type: 'string' },
			plot: { type: 'string' },
			record: { type: 'boolean' },
			help: { type: 'boolean' },
		},
	});
	if (options.help) return console.log(HELP);
	const { data, month, 'model-dir': modelDirectory, plot, record } = options;
	if (!data) throw new Error('Cannot evaluate: --data is missing, wanted a directory of files like yellow_zone_hour_2015-05.txt.gz');
	if (!month || !/^\d{4}-(0[1-9]|1[0-2])$/.test(month)) throw new Error(`Cannot evaluate: --month is ${JSON.stringify(month ?? null)}, wanted YYYY-MM`);
	if (options.model && modelDirectory) throw new Error('Cannot evaluate: give --model or --model-dir, not both');
	if (record && !modelDirectory) throw new Error("Cannot record figures: wanted --model-dir, a released model's manifest never changes");

	const read = await readModel(modelDirectory ?? CHAMPION);
	const model = `${read.manifest.name}@${read.manifest.version}`;
	if (options.model && options.model !== model)
		throw new Error(`Cannot evaluate ${options.model}: the sample's champion is ${model}; for another give --model-dir`);

	const collector = new PlotCollector();
	const scores = await evaluateMonth({
		...read,
		data,
		month,
		progress: (text) => console.error(text),
		watch: (zone, at, judged) => collector.watch(zone, at, judged),
	});
	const figures = figuresOf(scores);
	console.log(`${reportOf(scores, { month, model })}\n`);
	if (plot) for (const file of drawPlots(plot, collector, { scores, model, month })) console.error(file);
	if (record && modelDirectory)
		writeFileSync(join(modelDirectory, 'manifest.json'), jsonText({ ...read.manifest, figures: { ...read.manifest.figures, [month]: figures } }));
	console.log(JSON.stringify({ month, model, ...figures }));
}

try {
	await main();
} catch (error) {
	console.error(error instanceof Error ? error.message : error);
	process.exitCode = 1;
}
