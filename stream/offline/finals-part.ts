import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { FEATURE_SET, type FeatureVector, featureNames } from '#schemas/feature.ts';
import { limits } from '#schemas/limits.ts';
import { hourOf, minuteOf } from './finals-key.ts';

const WIDTH = featureNames.length;
const ROWS_FIRST = 1024;

const schema = [
	{ name: 'root', num_children: 2 + WIDTH },
	{ name: 'region_id', type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' }, repetition_type: 'REQUIRED' },
	{
		name: 'as_of',
		type: 'INT64',
		converted_type: 'TIMESTAMP_MILLIS',
		logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
		repetition_type: 'REQUIRED',
	},
	...featureNames.map((name) => ({ name, type: 'DOUBLE', repetition_type: 'OPTIONAL' })),
] as ConstructorParameters<typeof ParquetWriter>[0]['schema'];

/** Finals of one partition and one hour on their way into a file; each region and minute once, however often it comes. */
export class FinalsPart {
	/** The log's offset of the first final: what a restart has to read again to have this part again. */
	readonly offset: number;
	/** The instant of the first final; earlier ones are in earlier files. */
	readonly begins: number;
	/** When it was last written as far as it was, wall clock; undefined when everything in it is written. */
	unwrittenSince: number | undefined;
	#last: number;
	readonly #seen = new Set<string>();
	readonly #regions: string[] = [];
	readonly #names = new Map<string, string>();
	readonly #instants: number[] = [];
	/** Row by row; NaN where nothing is known. */
	#values = new Float64Array(ROWS_FIRST * WIDTH);

	constructor({ offset, begins }: { offset: number; begins: number }) {
		this.offset = offset;
		this.begins = begins;
		this.#last = begins;
	}

	get rows(): number {
		return this.#regions.length;
	}

	/** Whether a final of this instant belongs into the next part: of another hour, or this one is full and a minute has ended. */
	isBefore(asOf: number, { rows_max = limits.offline_part_rows as number } = {}): boolean {
		return hourOf(asOf) > hourOf(this.begins) || (minuteOf(asOf) > minuteOf(this.#last) && this.rows >= rows_max);
	}

	/** @param final.as_of not before `begins`. @returns whether it was new. */
	add({ region_id, as_of, values }: { region_id: string; as_of: number; values: FeatureVector }): boolean {
		const id = `${as_of} ${region_id}`;
		if (this.#seen.has(id)) return false;
		this.#seen.add(id);
		const at = this.rows * WIDTH;
		if (at === this.#values.length) {
			const larger = new Float64Array(at * 2);
			larger.set(this.#values);
			this.#values = larger;
		}
		for (let n = 0; n < WIDTH; n++) this.#values[at + n] = values[n] ?? Number.NaN;
		const known = this.#names.get(region_id); // one string a region, not one a final
		if (known === undefined) this.#names.set(region_id, region_id);
		this.#regions.push(known ?? region_id);
		this.#instants.push(as_of);
		this.#last = Math.max(this.#last, as_of);
		return true;
	}

	/** The file: rows by (region_id, as_of), the same bytes whatever order they came in. Others get their turn between the row groups. */
	async toParquet(partition: number): Promise<Uint8Array> {
		const order = Uint32Array.from(this.#regions.keys()).sort((a, b) => {
			const [left, right] = [this.#regions[a]!, this.#regions[b]!];
			return left < right ? -1 : left > right ? 1 : this.#instants[a]! - this.#instants[b]!;
		});
		const writer = new ByteWriter();
		const kvMetadata = [
			{ key: 'feature_set', value: FEATURE_SET },
			{ key: 'shard', value: String(partition) },
		];
		const parquet = new ParquetWriter({ writer, schema, kvMetadata, createdBy: 'surgecast' });
		for (let from = 0; from < order.length; from += limits.offline_group_rows) {
			const rows = order.subarray(from, from + limits.offline_group_rows);
			parquet.write({
				columnData: [
					{ name: 'region_id', data: Array.from(rows, (row) => this.#regions[row]!) },
					{ name: 'as_of', data: Array.from(rows, (row) => new Date(this.#instants[row]!)) },
					...featureNames.map((name, n) => ({
						name,
						data: Array.from(rows, (row) => {
							const value = this.#values[row * WIDTH + n]!;
							return Number.isNaN(value) ? null : value;
						}),
					})),
				],
				rowGroupSize: limits.offline_group_rows,
			});
			await new Promise(setImmediate);
		}
		parquet.finish();
		return writer.getBytes();
	}
}
