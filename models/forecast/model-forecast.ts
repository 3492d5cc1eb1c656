import type { Forecast } from '#schemas/forecast.ts';
import type { ModelManifest } from '#schemas/model-manifest.ts';
import { forecastOf } from './forecast.ts';

/**
 * What a model's outputs (expected bookings of the coming 15, 30 and 60 minutes) say, with the manifest's intervals. An output that is not finite or
 * leaves the declared range is clamped to it (not finite: to its lower end); `clamped` says so, for the metrics.
 */
export function modelForecast(
	expected: readonly [number, number, number],
	{ name, version, output_range, intervals }: Pick<ModelManifest, 'name' | 'version' | 'output_range' | 'intervals'>,
): { forecast: Forecast; clamped: boolean } {
	const [least, greatest] = output_range;
	let clamped = false;
	const within = (value: number): number => {
		if (value >= least && value <= greatest) return value;
		clamped = true;
		return value > greatest ? greatest : least;
	};
	const [a, b, c] = expected;
	const forecast = forecastOf({
		model: `${name}@${version}`,
		expected: [within(a), within(b), within(c)],
		tables: [intervals['15'], intervals['30'], intervals['60']],
	});
	return { forecast, clamped };
}
